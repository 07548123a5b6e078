"""Stores keyed by content: what is computed once is found again by every run on this machine."""
