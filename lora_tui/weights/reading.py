"""Reading LoRA files: matrices and the true alpha of each layer, whichever program's names it goes by.

kohya's names (also with diffusers' UNet blocks, which some programs write for XL), and the dotted names of diffusers
and peft, whose alpha stands in the file's metadata.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from lora_tui.errors import UserError
from lora_tui.text import _, plain
from lora_tui.weights.flux_fused import split
from lora_tui.weights.names import known_names

_DOWN = re.compile(r"\.(?:lora_down|lora_A(?:\.\w+)?|lora\.down|lora_linear_layer\.down)\.weight\Z")
_UP = re.compile(r"\.(?:lora_up|lora_B(?:\.\w+)?|lora\.up|lora_linear_layer\.up)\.weight\Z")
_ALPHA = ".alpha"
#: Where diffusers keeps the settings of its adapters, as JSON.
DIFFUSERS_KEY = "lora_adapter_metadata"
Place = tuple[str, str]


@dataclass(frozen=True)
class LoraLayer:
    """What a file adds to one layer: ``up`` @ ``down`` times alpha / rank.

    ``down`` is [rank, inputs(, k, k)], ``up`` [outputs, rank(, 1, 1)], both as stored.
    """

    down: Tensor
    up: Tensor
    alpha: float

    @property
    def scale(self) -> float:
        return self.alpha / int(self.down.shape[0])


def read_lora(path: Path) -> dict[str, LoraLayer]:
    """The layers of a LoRA file by the name that the file gives them; empty when it holds no LoRA.

    Layers in FLUX.1's original layout, several in one, are given apart and by diffusers' names.

    A file that states no alpha means alpha = rank, as every program reads it.

    Raises:
        UserError: it cannot be read, a layer has only one of its two matrices (``lora.incomplete``), or it is a DoRA.
    """
    tensors, metadata = _read(path)
    if any(name.endswith((".dora_scale", ".lora_magnitude_vector")) for name in tensors):
        raise UserError(
            _("it is a DoRA: without its sizes it would be another one."),
            place=plain(str(path)),
            remedy=_("Use it in ComfyUI, Forge or A1111, which read them."),
            code="lora.dora",
        )
    stated = _adapter_settings(metadata)
    downs = {name[: found.start()]: tensor for name, tensor in tensors.items() if (found := _DOWN.search(name))}
    ups = {name[: found.start()]: tensor for name, tensor in tensors.items() if (found := _UP.search(name))}
    odd = sorted(downs.keys() ^ ups.keys())
    if odd:
        raise UserError(
            _("the layer {name} has only one of its two matrices.").format(name=plain(odd[0], limit=120)),
            place=plain(str(path)),
            remedy=_("The file is incomplete; fetch it again."),
            code="lora.incomplete",
        )
    layers: dict[str, LoraLayer] = {}
    for stem, down in downs.items():
        alpha = tensors.get(stem + _ALPHA)
        value = float(alpha) if alpha is not None else _stated_alpha(stated, stem, down.shape[0])
        pieces = split(stem, (down, ups[stem], value))
        layers |= {f"transformer.{path}": LoraLayer(*piece) for path, piece in pieces.items()}
        if not pieces:
            layers[stem] = LoraLayer(down, ups[stem], value)
    return layers


def layers_by_name(family: str, places: Iterable[Place]) -> dict[str, Place]:
    """Every name that a file may have for the layers at ``places`` ((part, dotted path)), and whose it is."""
    return {name: place for place in places for name in known_names(family, *place)}


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dictionary
            return tensors, dict(file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise UserError(
            _("it cannot be read: {reason}.").format(reason=plain(str(error))),
            place=plain(str(path)),
            remedy=_("The file may be incomplete; fetch it again."),
            code="model.torn",
        ) from None


def _adapter_settings(metadata: Mapping[str, str]) -> Mapping[str, Any]:
    """peft's settings by part: ``unet.lora_alpha``, ``unet.alpha_pattern`` and so on."""
    try:
        settings = json.loads(metadata.get(DIFFUSERS_KEY, "{}"))
    except (ValueError, RecursionError):
        return {}
    return settings if isinstance(settings, dict) else {}


def _stated_alpha(settings: Mapping[str, Any], stem: str, rank: int) -> float:
    """The alpha that diffusers' metadata state for the layer ``stem``; the rank where they say nothing."""
    part, _dot, path = stem.partition(".")
    patterns = settings.get(f"{part}.alpha_pattern")
    for pattern, own in (patterns if isinstance(patterns, dict) else {}).items():
        if _is_number(own) and (path == pattern or path.endswith(f".{pattern}") or _matches(pattern, path)):
            return float(own)
    alpha: Any = settings.get(f"{part}.lora_alpha")
    return float(alpha) if _is_number(alpha) else float(rank)


def _matches(pattern: str, path: str) -> bool:
    """peft takes a pattern as a regular expression for the end of a layer's path."""
    try:
        return re.fullmatch(rf"(?:.*\.)?(?:{pattern})", path) is not None
    except re.error:
        return False


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
