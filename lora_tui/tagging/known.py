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

USUAL: tuple[tuple[Kind, str], ...] = (
    ("wd14", "SmilingWolf/wd-vit-tagger-v3"),
    ("wd14", "SmilingWolf/wd-swinv2-tagger-v3"),
    ("wd14", "SmilingWolf/wd-convnext-tagger-v3"),
    ("wd14", "SmilingWolf/wd-eva02-large-tagger-v3"),
    ("florence2", "florence-community/Florence-2-base"),
    ("florence2", "florence-community/Florence-2-large"),
    ("blip", "Salesforce/blip-image-captioning-base"),
    ("blip", "Salesforce/blip-image-captioning-large"),
)
"""Models that most people take, by their names on the hub."""

REMEMBERED = "tagging.json"
_LARGEST = 1 << 20


@dataclass(frozen=True)
class KnownModel:
    """A model to choose: its kind, its name on the hub, and whether it is in the cache."""

    kind: Kind
    name: str
    here: bool


def known_models() -> list[KnownModel]:
    """Those in the hub's cache, then the usual ones that are not."""
    found: dict[str, KnownModel] = {}
    for name, folder in hub.snapshots():
        if (kind := kind_of(folder)) is not None:
            found[name] = KnownModel(kind, name, True)
    return [*found.values(), *(KnownModel(kind, name, False) for kind, name in USUAL if name not in found)]


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
