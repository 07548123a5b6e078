"""The journal of a dataset's captions: on disk first, then the files; undo, recovery and blame read it."""
