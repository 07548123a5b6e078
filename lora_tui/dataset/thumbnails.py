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
from lora_tui.dataset.eyes import eyes_now
from lora_tui.dataset.own_eyes import THUMBNAIL_SIDE
from lora_tui.errors import UserError
from lora_tui.settings import cache_dir

if TYPE_CHECKING:
    from PIL import Image

CAP_BYTES = 500_000_000
"""What all of them may take on disk: some 80,000 pictures."""

UNUSED_SECONDS = 90 * 86400.0
"""How long a picture that nobody looks at is kept."""

CLEARED_EVERY = 2000
"""Pictures that a program adds, some 12 MB, before it clears away again; its first one makes it do so as well."""

_added = count()


def thumbnail(path: Path, stamp: tuple[int, int], *, background: tuple[int, int, int]) -> Image.Image:
    """The image at ``path`` upright, laid over ``background``, made small where it is much larger than a thumbnail.

    Args:
        stamp: time of change in ns and bytes of the file as it was scanned.
        background: red, green and blue under transparent places.

    Raises:
        UserError: as :func:`lora_tui.dataset.load.load_image`.
    """
    from PIL import Image

    store = _store()
    key = key_of(os.path.realpath(path), *stamp, THUMBNAIL_SIDE, *background)
    if store is not None:
        with contextlib.suppress(OSError, ValueError, SyntaxError):
            if store.has(key):
                with Image.open(io.BytesIO(store.path(key).read_bytes())) as kept:
                    kept.load()
                    return kept.convert("RGB")
    small, worth = eyes_now().thumbnail(path, background)
    if worth and store is not None:
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
