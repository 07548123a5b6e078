"""Randomness named by what it is for, so that nothing depends on the order in which things happen.

A stream keyed by (seed, purpose, epoch, sample) is the same in a resumed run, on another number of
workers and in a preview, because no generator state is carried from one use to the next.
"""

from __future__ import annotations

import hashlib
import random


def keyed_seed(*parts: str | int) -> int:
    """A 63-bit seed from ``parts``: BLAKE2b over their type-tagged, length-prefixed text."""
    digest = hashlib.blake2b(digest_size=8)
    for part in parts:
        data = f"{type(part).__name__}:{part}".encode("utf-8", "surrogatepass")  # names of files may be no UTF-8
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return int.from_bytes(digest.digest(), "little") >> 1


def keyed_random(*parts: str | int) -> random.Random:
    """A generator of the standard library seeded by :func:`keyed_seed`."""
    return random.Random(keyed_seed(*parts))
