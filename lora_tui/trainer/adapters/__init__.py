"""Adapters: what is attached to the frozen base and trained. One module a kind, listed in :mod:`.kinds`."""
