"""Where a base model comes from: a single file, a diffusers folder, or a hub name that is fetched once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lora_tui.errors import UserError
from lora_tui.families.hub import fetched, on_hub
from lora_tui.places import expand, is_file, is_folder
from lora_tui.text import _, plain
from lora_tui.weights.header.pickles import pickle_error

SINGLE_FILES = (".safetensors",)
PICKLES = (".ckpt", ".pt", ".pth", ".bin")


@dataclass(frozen=True)
class Source:
    """A base model on this machine: what kind of thing it is and where."""

    kind: Literal["folder", "file", "pickle"]
    path: Path


def resolve(base: str, *, parts: Sequence[str], place: str = "model.base", allow_pickle: bool = False) -> Source:
    """The model that ``base`` names; of a hub name, the weights of ``parts`` are downloaded (or found in its cache).

    Raises:
        UserError: nothing is there, it is a pickle and those are not allowed, or the download failed.
    """
    if not base:
        raise UserError(
            _("no base model is set."), place=place, remedy=_("Give a .safetensors file, a diffusers folder or a "
            "hub name."), code="model.missing"
        )  # fmt: skip
    path = expand(base)
    if is_folder(path):
        return _folder(path, place)
    if is_file(path):
        return _file(path, place, allow_pickle)
    if on_hub(base):
        return _folder(fetched(base, parts=parts, place=place), place)
    raise UserError(
        _("there is no file or folder {path}.").format(path=plain(str(path))),
        place=place,
        remedy=_("Check the path, or give a hub name such as owner/model."),
        code="model.missing",
    )


def gguf_error(path: Path, place: str) -> UserError:
    """The error for a model in llama.cpp's format."""
    return UserError(
        _(
            "{name} is a GGUF file: its weights are packed for drawing alone, and no LoRA is trained on them here."
        ).format(name=plain(path.name)),
        place=place,
        remedy=_("Use the model as .safetensors in bf16, fp16 or fp8; memory.base_weights packs it here."),
        code="model.gguf",
    )


def _folder(path: Path, place: str) -> Source:
    if (path / "model_index.json").is_file():
        return Source("folder", path)
    raise UserError(
        _("the folder {path} is no diffusers model: it has no model_index.json.").format(path=plain(str(path))),
        place=place,
        remedy=_("Choose the folder that holds model_index.json, or a single .safetensors file."),
        code="model.not_diffusers",
    )


def _file(path: Path, place: str, allow_pickle: bool) -> Source:
    if path.suffix.lower() in SINGLE_FILES:
        return Source("file", path)
    if path.suffix.lower() in PICKLES:
        if allow_pickle:
            return Source("pickle", path)
        raise pickle_error(path, place, code="model.pickle", setting="model.allow_pickle")
    if path.suffix.lower() == ".gguf":
        raise gguf_error(path, place)
    raise UserError(
        _("{name} is no model file that can be read here.").format(name=plain(path.name)),
        place=place,
        remedy=_("Give a .safetensors file or a diffusers folder."),
        code="model.unknown_file",
    )
