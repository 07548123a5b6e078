"""Numbers beside a grid's pictures, and what they recommend: which checkpoint, at which strength."""
