"""Stores keyed by content: what is computed once is found again by every run on this machine."""

from lora_tui.caches.store import ContentStore

__all__ = ["ContentStore"]
