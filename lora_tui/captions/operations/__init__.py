"""What can be done to captions: a module a group, each operation pure, from a text to its new text."""
