"""Caption files: their bytes and text, where they lie, and what the trainer sees of them."""
