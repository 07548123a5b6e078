"""What a model or a LoRA file holds, as a few characters: cells are drawn anew when it changes. Knows no torch.

A base model may have many gigabytes, so it is not read whole: its size and blocks of it spread evenly tell it apart
from any other that was trained or merged. A name on the hub stands for itself.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from lora_tui.grids.cell import Cell

BLOCKS, BLOCK = 64, 1 << 16
MOST_FILES = 2000


def contents_of(cells: Iterable[Cell], known: Mapping[str, str] | None = None) -> dict[str, str]:
    """What the models and LoRA files that ``cells`` name hold now; those that are gone, what was ``known`` of them."""
    names = {one for cell in cells for one in (cell.base, cell.vae, *(str(lora.path) for lora in cell.loras))} - {""}
    return {name: told_of(name, (known or {}).get(name, "")) for name in names}


def told_of(name: str, known: str = "") -> str:
    """The digest of the file or folder at ``name``; where there is neither, what was ``known`` of it, else ``name``."""
    path = Path(name)
    if path.is_file():
        return _file(path)
    if path.is_dir():
        digest = hashlib.blake2b(digest_size=16)
        for inner in _weights(path):
            digest.update(f"{inner.relative_to(path)}:{_file(inner)}\n".encode("utf-8", "surrogatepass"))
        return digest.hexdigest()
    return known or name


def _weights(folder: Path) -> Iterator[Path]:
    """What a folder in diffusers' layout is made of."""
    found = sorted(
        Path(root) / name
        for root, _folders, names in os.walk(folder)
        for name in names
        if name.endswith((".safetensors", ".bin", ".json", ".txt", ".model")) and not name.startswith(".")
    )
    yield from found[:MOST_FILES]


def _file(path: Path) -> str:
    digest = hashlib.blake2b(digest_size=16)
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            digest.update(str(size).encode())
            if size <= BLOCKS * BLOCK:
                digest.update(file.read())
            else:
                for number in range(BLOCKS):
                    file.seek(number * (size - BLOCK) // (BLOCKS - 1))
                    digest.update(file.read(BLOCK))
    except OSError:
        return f"unreadable {path}"
    return digest.hexdigest()
