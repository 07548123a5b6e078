"""Small pictures of images, kept on disk so that a grid of thousands is drawn without decoding them again.

An entry is named by the file's path, size, time of change and the side asked for: it can be missing, never stale.
What all of them take is bounded: whoever adds some also clears away, now and then, what was not looked at for longest.
Several programs may do so at once, and one that is killed leaves nothing that is not cleared away later.
"""

from __future__ import annotations

import contextlib
import io
import os
import threading
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from lora_tui.caches.store import ContentStore, key_of
from lora_tui.dataset.buckets import Size
from lora_tui.dataset.load import open_upright
from lora_tui.errors import UserError
from lora_tui.settings import cache_dir

if TYPE_CHECKING:
    from PIL import Image

SIDE = 160
"""Longer side in px: enough for a picture of 160 columns or 80 lines of half cells."""

CAP_BYTES = 500_000_000
"""What all of them may take on disk: some 80,000 pictures."""

UNUSED_SECONDS = 90 * 86400.0
"""How long a picture that nobody looks at is kept."""

CLEARED_EVERY = 2000
"""Pictures that a program adds, some 12 MB, before it clears away again; its first one makes it do so as well."""

_added = count()

_WORTH = 2
"""How many times smaller the thumbnail must be than its image to be worth keeping."""


def thumbnail(path: Path, stamp: tuple[int, int], *, background: tuple[int, int, int]) -> Image.Image:
    """The image at ``path`` with its longer side at most :data:`SIDE` px, upright, laid over ``background``.

    Args:
        stamp: time of change in ns and bytes of the file as it was scanned.
        background: red, green and blue under transparent places.

    Raises:
        UserError: as :func:`lora_tui.dataset.load.load_image`.
    """
    from PIL import Image

    store = _store()
    key = key_of(os.path.realpath(path), *stamp, SIDE, *background)
    if store is not None:
        with contextlib.suppress(OSError, ValueError, SyntaxError):
            if store.has(key):
                with Image.open(io.BytesIO(store.path(key).read_bytes())) as kept:
                    kept.load()
                    return kept.convert("RGB")
    image = open_upright(path, background=background, at_least=Size(SIDE, SIDE))
    large = max(image.size)
    if large <= SIDE * _WORTH:
        return image
    scale = SIDE / large
    size = max(round(image.width * scale), 1), max(round(image.height * scale), 1)
    small = image.resize(size, Image.Resampling.BOX, reducing_gap=2.0)
    if store is not None:
        written = io.BytesIO()
        small.save(written, "JPEG", quality=88)
        with contextlib.suppress(OSError):  # a full disk is no reason to show nothing
            store.put(key, written.getvalue())
            if next(_added) % CLEARED_EVERY == 0:
                threading.Thread(target=prune, name="thumbnails", daemon=True).start()
    return small


def prune() -> None:
    """Forget the thumbnails unused for longest beyond :data:`CAP_BYTES`, and those unused for very long."""
    store = _store()
    if store is not None:
        with contextlib.suppress(OSError):
            store.prune(CAP_BYTES, UNUSED_SECONDS)


def _store() -> ContentStore | None:
    with contextlib.suppress(UserError, OSError):
        return ContentStore(cache_dir(), "thumbnails", ".jpg")
    return None
