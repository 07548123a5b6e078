"""Auto-taggers: what models say of images, kept, turned into captions by rules, and written through the journal.

:func:`tag_dataset` does it all for a :class:`Request`; :func:`score_table` gives what a slider of thresholds needs. The
models themselves work in a process of their own.
"""
