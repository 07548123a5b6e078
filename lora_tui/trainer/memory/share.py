"""A part of a batch and its place in it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Share:
    """Images ``start`` to ``stop`` of the ``total`` of a batch."""

    start: int
    stop: int
    total: int

    @property
    def images(self) -> int:
        """How many they are."""
        return self.stop - self.start
