"""Files that other trainers keep beside images and that know nothing of a caption edited since.

sd-scripts writes text encoder outputs as ``STEM_te_outputs.npz`` and the like, and captions into
``metadata_cache.json``; it looks whether such a file is there, never whether the caption is still the same.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from lora_tui.captions.lint_rules import Found
from lora_tui.text import _, plain

if TYPE_CHECKING:
    from lora_tui.captions.corpus import Corpus

_ENDINGS = tuple(
    f"{name}.npz" for name in ("_te_outputs", "_sd3_te", "_flux_te", "_lumina_te", "_hi_te", "_anima_te", "_te")
)
_METADATA = "metadata_cache.json"


def stale_caches(corpus: Corpus) -> Iterator[tuple[int, Found]]:
    """The number of each entry whose caption is newer than a cache of it, and what to say of that.

    Folders that cannot be read are passed over.
    """
    folders: dict[str, dict[str, int]] = {}
    for entry in corpus.entries:
        if entry.document is None:
            continue
        folder, _slash, name = entry.name.rpartition("/")
        if folder not in folders:
            folders[folder] = _caches(os.path.join(corpus.root, folder))  # noqa: PTH118
        caches = folders[folder]
        if not caches:
            continue
        stem = name.rpartition(".")[0]
        for cache in (*(stem + ending for ending in _ENDINGS), _METADATA):
            if caches.get(cache, entry.mtime_ns) < entry.mtime_ns:
                message = _("{file} is older than the caption and will be used in its place.")
                remedy = _("Delete it, so that the trainer makes it anew.")
                yield entry.number, Found("cache.stale", message.format(file=plain(cache)), None, remedy, "error")


def _caches(folder: str) -> dict[str, int]:
    """The caches in a folder with the time of their last change, ns since 1970."""
    try:
        with os.scandir(folder) as found:
            return {
                one.name: one.stat().st_mtime_ns
                for one in found
                if one.name.endswith(_ENDINGS) or one.name == _METADATA
            }
    except OSError:
        return {}
