"""Which taggers a person may choose from: those in the hub's cache and those that most people take; the last choice.

Only folders are listed and small files read; nothing is fetched.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

from lora_tui.errors import UserError
from lora_tui.files import write_atomic
from lora_tui.settings import state_dir
from lora_tui.tagging import hub
from lora_tui.tagging.request import Kind, ModelChoice, Request, of_options

USUAL: tuple[tuple[Kind, str, int], ...] = (
    ("wd14", "SmilingWolf/wd-vit-tagger-v3", 380_000_000),
    ("wd14", "SmilingWolf/wd-swinv2-tagger-v3", 470_000_000),
    ("wd14", "SmilingWolf/wd-convnext-tagger-v3", 400_000_000),
    ("wd14", "SmilingWolf/wd-eva02-large-tagger-v3", 1_260_000_000),
    ("florence2", "florence-community/Florence-2-base", 0),
    ("florence2", "florence-community/Florence-2-large", 0),
    ("blip", "Salesforce/blip-image-captioning-base", 990_000_000),
    ("blip", "Salesforce/blip-image-captioning-large", 1_880_000_000),
)
"""Models that most people take, by their names on the hub, and about how many bytes are fetched; 0 where unknown."""

REMEMBERED = "tagging.json"
_LARGEST = 1 << 20


@dataclass(frozen=True)
class KnownModel:
    """A model to choose.

    Attributes:
        name: on the hub.
        here: whether it is in the cache.
        size: bytes of its files there, or about how many are to be fetched; 0 where nobody knows.
    """

    kind: Kind
    name: str
    here: bool
    size: int = 0


def known_models() -> list[KnownModel]:
    """Those in the hub's cache, then the usual ones that are not."""
    found: dict[str, KnownModel] = {}
    for name, folder in hub.snapshots():
        if (kind := kind_of(folder)) is not None:
            found[name] = KnownModel(kind, name, True, _size(folder))
    usual = (KnownModel(kind, name, False, size) for kind, name, size in USUAL if name not in found)
    return [*found.values(), *usual]


def _size(folder: Path) -> int:
    """The bytes of the files in a folder of the cache, which are links to where they lie."""
    try:
        return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    except OSError:
        return 0


def kind_of(folder: Path) -> Kind | None:
    """What kind of tagger a folder holds by its files; none for anything else."""
    if (folder / "model.onnx").is_file() and (folder / "selected_tags.csv").is_file():
        return "wd14"
    try:
        with (folder / "config.json").open("rb") as file:
            said = json.loads(file.read(_LARGEST))
    except (OSError, ValueError, RecursionError):
        return None
    kinds: dict[str, Kind] = {"florence2": "florence2", "blip": "blip"}
    return kinds.get(str(said.get("model_type", ""))) if isinstance(said, dict) else None


def remembered() -> Request:
    """What was asked for last; the defaults where nobody knows. Without a trigger word: that is the project's."""
    try:
        with (state_dir() / REMEMBERED).open("rb") as file:
            return of_options(json.loads(file.read(_LARGEST)))
    except (OSError, ValueError, RecursionError, TypeError, UserError):
        return Request((ModelChoice("wd14", USUAL[0][1]),))


def remember(request: Request) -> None:
    """Keep a request for the next time; a state folder that cannot be written is let be."""
    data = replace(request, trigger="", again=False).as_options()
    try:
        write_atomic(state_dir() / REMEMBERED, json.dumps(data, indent=1).encode(), durable=False)
    except (OSError, UserError):
        return
