"""Files beside images that an edit of captions leaves alone: caches of other trainers, captions without an image.

sd-scripts writes text encoder outputs as ``STEM_te_outputs.npz`` and the like, and captions into
``metadata_cache.json``; musubi-tuner writes ``STEM_ARCHITECTURE_te.safetensors``, beside the image or into a folder of
its own, and reads it as it is where it is told to skip what exists. Both look whether such a file is there, never
whether the caption is still the same.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from lora_tui.captions.lint_rules import Found
from lora_tui.captions.variants import stem_of
from lora_tui.text import _, plain

if TYPE_CHECKING:
    from lora_tui.captions.corpus import Corpus

_ENDINGS = tuple(
    f"{name}.npz" for name in ("_te_outputs", "_sd3_te", "_flux_te", "_lumina_te", "_hi_te", "_anima_te", "_te")
)
_MUSUBI = re.compile(r"(?P<stem>.+)_[a-z0-9]{1,8}_te\.safetensors", re.DOTALL)
_METADATA = "metadata_cache.json"
_CACHE_FOLDERS = ("", "cache/")
"""Where caches lie, from the folder of the images: there, and in what most people call musubi-tuner's."""


def stale_caches(corpus: Corpus) -> Iterator[tuple[int, Found]]:
    """The number of each entry whose caption is newer than a cache of it, and what to say of that.

    Folders that cannot be read are passed over.
    """
    folders: dict[str, dict[str, list[tuple[str, int]]]] = {}
    for entry in corpus.entries:
        if entry.document is None:
            continue
        folder, _slash, name = entry.name.rpartition("/")
        if folder not in folders:
            folders[folder] = _caches(os.path.join(corpus.root, folder))  # noqa: PTH118
        caches = folders[folder]
        if not caches:
            continue
        for cache, changed in (*caches.get(name.rpartition(".")[0], ()), *caches.get("", ())):
            if changed < entry.mtime_ns:
                message = _("{file} is older than the caption and will be used in its place.")
                remedy = _("Delete it, so that the trainer makes it anew.")
                yield entry.number, Found("cache.stale", message.format(file=plain(cache)), None, remedy, "error")


def _caches(folder: str) -> dict[str, list[tuple[str, int]]]:
    """The caches in a folder by the stems of their images, each with its last change, ns since 1970.

    Those of all images stand at the empty stem.
    """
    found: dict[str, list[tuple[str, int]]] = {}
    for prefix in _CACHE_FOLDERS:
        try:
            with os.scandir(f"{folder}/{prefix}") as files:
                for one in files:
                    for stem in _stems(one.name):
                        found.setdefault(stem, []).append((prefix + one.name, one.stat().st_mtime_ns))
        except OSError:
            continue
    return found


def _stems(name: str) -> Iterator[str]:
    """The stems of which a file may be a cache."""
    if name == _METADATA:
        yield ""
    yield from (name[: -len(ending)] for ending in _ENDINGS if name.endswith(ending))
    if found := _MUSUBI.fullmatch(name):
        yield found["stem"]


def orphans(corpus: Corpus) -> Iterator[str]:
    """The names of caption files beside which there is no image, in the folders that have images."""
    stems: dict[str, Counter[str]] = {}
    for entry in corpus.entries:
        folder, _slash, name = entry.name.rpartition("/")
        stems.setdefault(folder, Counter())[name[: name.rfind(".")]] += 1
    for folder, images in stems.items():
        try:
            names = sorted(os.listdir(os.path.join(corpus.root, folder)))  # noqa: PTH118, PTH208
        except OSError:
            continue
        for name in names:
            if name.endswith(corpus.extensions) and name[0] != "." and not stem_of(name, images):
                yield f"{folder}/{name}" if folder else name
