"""LoRA files as a collection: folders that hold them, each in a line, its picture and its run, how one is found."""
