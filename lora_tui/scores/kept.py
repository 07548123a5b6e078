"""Vectors of pictures, computed once: kept by what the picture and the model hold. Needs numpy; loads no model."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from lora_tui.caches.store import ContentStore, key_of
from lora_tui.errors import UserError
from lora_tui.scores.measures import Array
from lora_tui.settings import cache_dir

if TYPE_CHECKING:
    from PIL.Image import Image

    from lora_tui.scores.models import Looker

LAYOUT = 1  # version of what an entry holds
CAP_BYTES = 500_000_000  # more than 100,000 pictures
AT_ONCE = 16
BLANK = 3
"""Levels of 255 between which a picture of one colour stays."""


@dataclass(frozen=True)
class Picture:
    """``name`` is the caller's own; ``content`` a digest of what is seen; ``load`` decodes it, RGB."""

    name: str
    content: str
    load: Callable[[], Image]


def vector_store() -> ContentStore:
    """Where vectors lie."""
    return ContentStore(cache_dir(), "vectors", ".f32", cap=CAP_BYTES)


@dataclass
class Kept:
    """What is known of pictures: ``vectors`` by name, which of them are of one colour, how many were computed now."""

    vectors: dict[str, Array] = field(default_factory=dict)
    blank: set[str] = field(default_factory=set)
    fresh: int = 0

    def take(self, name: str, entry: Array) -> None:
        """``entry``: a vector, and behind it 1 where the picture is of one colour."""
        self.vectors[name] = entry[:-1]
        if entry[-1]:
            self.blank.add(name)


def vectors_of(
    pictures: Sequence[Picture], looker: Looker, tell: Callable[[int, int], None], warn: Callable[[UserError], None]
) -> Kept:
    """The vectors of pictures.

    Args:
        tell: told how many are done of how many; may raise, and what was computed is kept.
        warn: told of pictures that cannot be decoded, which have no vector.
    """
    store = vector_store()
    found = Kept()
    lacking: list[Picture] = []
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # a cache that cannot be written is done without
            stack.enter_context(store.in_use())
        for one in pictures:
            entry = _recalled(store, _key(looker, one))
            if entry is None:
                lacking.append(one)
            else:
                found.take(one.name, entry)
        for start in range(0, len(lacking), AT_ONCE):
            tell(len(pictures) - len(lacking) + start, len(pictures))
            batch = _decoded(lacking[start : start + AT_ONCE], warn)
            vectors = looker.images([picture for _one, picture in batch]) if batch else ()
            for (one, picture), vector in zip(batch, vectors, strict=True):
                entry = np.array([*vector, _is_blank(picture)], dtype="<f4")
                found.take(one.name, entry.astype(np.float64))
                found.fresh += 1
                with contextlib.suppress(OSError):  # it is only computed again
                    store.put(_key(looker, one), entry.tobytes())
    tell(len(pictures), len(pictures))
    return found


def _is_blank(picture: Image) -> bool:
    extrema = picture.convert("RGB").getextrema()
    return all(high - low <= BLANK for low, high in extrema)  # type: ignore[misc]


def _decoded(pictures: Sequence[Picture], warn: Callable[[UserError], None]) -> list[tuple[Picture, Image]]:
    found = []
    for one in pictures:
        try:
            found.append((one, one.load()))
        except UserError as error:
            warn(error)
    return found


def _key(looker: Looker, one: Picture) -> str:
    return key_of("vector", LAYOUT, looker.digest, one.content)


def _recalled(store: ContentStore, key: str) -> Array | None:
    """The entry that is kept; none where there is none, or no unit vector in it."""
    if not store.has(key):
        return None
    try:
        entry = np.frombuffer(store.path(key).read_bytes(), dtype="<f4").astype(np.float64)
    except (OSError, ValueError):
        return None
    whole = entry.size > 1 and abs(float(entry[:-1] @ entry[:-1]) - 1) < 1e-3 and entry[-1] in (0, 1)
    return entry if whole else None
