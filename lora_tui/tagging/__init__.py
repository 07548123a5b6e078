"""Auto-taggers: what models say of images, kept, turned into captions by rules, and written through the journal."""
