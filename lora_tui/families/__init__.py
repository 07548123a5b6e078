"""Model families. ``facts`` are light and serve plan, form and tools; ``model`` needs torch and serves the trainer.

A family is a package with ``facts.FACTS`` (:class:`~lora_tui.families.protocol.Facts`), ``checks`` of its files, and
``model.open_model``, which gives a :class:`~lora_tui.families.protocol.Model`. Its row stands here, its names of layers
in ``weights.names``.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from lora_tui.errors import UserError
from lora_tui.text import _, plain

if TYPE_CHECKING:
    import torch

    from lora_tui.config.schema import CaptionSection, ModelSection
    from lora_tui.families.hub import Progress
    from lora_tui.families.protocol import Facts, Model, Storage
    from lora_tui.families.separate.places import Part

#: family as the schema calls it -> its package
FAMILIES = {
    "sd15": "lora_tui.families.sd15",
    "sd2": "lora_tui.families.sd2",
    "sdxl": "lora_tui.families.sdxl",
    "flux": "lora_tui.families.flux",
    "flux2": "lora_tui.families.flux2",
    "sd3": "lora_tui.families.sd3",
    "chroma": "lora_tui.families.chroma",
    "zimage": "lora_tui.families.zimage",
    "qwen": "lora_tui.families.qwen",
}


def open_model(
    section: ModelSection,
    captions: CaptionSection,
    *,
    device: torch.device,
    dtype: torch.dtype,
    storage: Storage | None = None,
) -> Model:
    """The base model that ``section`` names, for ``device`` in ``dtype``; nothing large is read yet. Imports torch.

    ``storage``: how the network that draws is kept; in full on the device where nothing is said.

    Raises:
        UserError: there is no such family or model, or it is one that would be trained wrongly.
    """
    door = import_module(f"{_package(section.family)}.model").open_model
    section = section.model_copy(update={name: str(path) for name, path in fetch_model(section).items()})
    model = cast("Model", door(section, captions, device=device, dtype=dtype))
    model.storage = storage or model.storage
    model.beneath = import_module("lora_tui.families.beneath").beneath_of(section)
    return model


def fetch_model(section: ModelSection, on_progress: Progress | None = None) -> dict[str, Path]:
    """The folders of what ``section`` names on the hub, by setting; what the hub's cache lacks is downloaded. No torch.

    ``on_progress`` is told of MB that are there, of how many, and of the file in hand.

    Raises:
        UserError: it cannot be fetched.
        OSError: the disk is full or may not be written to.
    """
    from lora_tui.families import hub

    found = {}
    if hub.on_hub(section.base):
        found["base"] = hub.fetched(section.base, family=section.family, on_progress=on_progress)
    layout = layout_of(section.family)
    folders: dict[str, str] = {"vae": "vae", **{key: part.folder for key, part in layout.items()}}
    folders |= {part.words: part.tokenizer for part in layout.values() if part.words}
    for key, folder in folders.items():
        name: str = getattr(section, key)
        if hub.on_hub(name):
            found[key] = hub.fetched(name, parts=(folder,), place=f"model.{key}", on_progress=on_progress)
    return found


def check_model(name: str, path: Path, *, own_vae: bool = True, prediction: str = "auto") -> None:
    """Refuse a base model (a file or a folder in diffusers' layout) that family ``name`` could not train; no torch.

    Args:
        own_vae: whether the VAE that lies in the model is the one that is used.
        prediction: the setting ``model.prediction``.

    Raises:
        UserError: what is missing, torn or of another kind, in the words in which the loading would say it.
    """
    from lora_tui.families.source import Source

    source = Source("folder" if path.is_dir() else "file", path)
    _checks(name).check_model(source, own_vae=own_vae, prediction=prediction)


def told_prediction(name: str, path: Path) -> str:
    """What the files of a base model of family ``name`` say that it predicts; empty where they say nothing. No torch.

    Raises:
        UserError: they cannot be read.
    """
    told = getattr(_checks(name), "told_prediction", None)
    return told(path) if told is not None else ""


def check_vae(name: str, path: Path, *, allow_pickle: bool = False) -> None:
    """Refuse a separate VAE that family ``name`` could not load; imports no torch.

    Raises:
        UserError: what is missing or torn.
    """
    _checks(name).check_vae(path, allow_pickle=allow_pickle)


def part_flaws(name: str, base: Path, named: Mapping[str, str]) -> list[tuple[str, UserError]]:
    """What is wrong with the parts that settings name, or that the model at ``base`` lacks, by setting; no torch.

    ``named`` has the settings in the family's ``separate``; those without a value are empty.
    """
    found: list[tuple[str, UserError]] = _checks(name).part_flaws(base, named) if facts_for(name).separate else []
    return found


def layout_of(name: str) -> Mapping[str, Part]:
    """The parts beside the transformer of family ``name``, by the settings that name them; none of a UNet. No torch."""
    found: Mapping[str, Part] = _checks(name).LAYOUT if facts_for(name).separate else {}
    return found


def _checks(name: str) -> Any:
    return import_module(f"{_package(name)}.checks")


def facts_for(name: str) -> Facts:
    """The facts of family ``name``; imports no torch.

    Raises:
        UserError: there is no such family.
    """
    return cast("Facts", import_module(f"{_package(name)}.facts").FACTS)


def _package(name: str) -> str:
    if name not in FAMILIES:
        raise UserError(
            _("there is no model family {name}.").format(name=plain(name)),
            place="model.family",
            remedy=_("Use one of: {names}.").format(names=", ".join(FAMILIES)),
            code="model.family",
        )
    return FAMILIES[name]
