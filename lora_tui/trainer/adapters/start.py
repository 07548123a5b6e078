"""Going on from a LoRA file: its layers are found by whatever names it goes by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lora_tui.errors import UserError
from lora_tui.places import expand
from lora_tui.text import _, plain
from lora_tui.trainer.adapters.beside import EffectAdapter
from lora_tui.trainer.adapters.lora import LoraAdapter
from lora_tui.weights.kinds import SIZES
from lora_tui.weights.reading import OtherLayer, Stored, layers_by_name, read_lora


def start_from(adapter: LoraAdapter | EffectAdapter, file: str, family: str) -> list[str]:
    """Put the LoRA in ``file`` into ``adapter``; names of what is in it and not trained here are returned.

    Raises:
        UserError: it cannot be read, none of its layers is trained here, or its tensors have other shapes.
    """
    path = expand(file)
    stored = read_lora(path)
    own = _own(adapter, stored)
    places = layers_by_name(family, adapter.layers)
    found = {places[name]: layer for name, layer in own.items() if name in places}
    if not found:
        raise UserError(
            _("none of its layers is trained here."),
            place=plain(str(path)),
            remedy=_("Give a LoRA of this family and type, or leave network.start_from empty."),
            code="lora.unmatched",
        )
    if any(_sized(layer) for layer in found.values()) and not adapter.section.decomposed:
        raise UserError(
            _("it is a DoRA: without its sizes it would be another one."),
            place=plain(str(path)),
            remedy=_("Set network.dora to true, or choose another file."),
            code="lora.dora",
        )
    begin: Callable[[Mapping[Any, Any]], None] = adapter.start_from
    try:
        begin(found)
    except ValueError as error:
        raise _misfit(path, error, _remedy(adapter)) from error
    biases = (name for layer in found.values() if isinstance(layer, OtherLayer) for name in layer.names)
    left = [name for name in stored.all if name not in own or name not in places]
    return [*left, *stored.strange, *(name for name in biases if name.endswith(".diff_b"))]


def _own(adapter: LoraAdapter | EffectAdapter, stored: Stored) -> Mapping[str, Any]:
    """The layers of the adapter's own kind."""
    if isinstance(adapter, LoraAdapter):
        return stored.layers
    return {name: layer for name, layer in stored.others.items() if layer.kind == adapter.section.type}


def _sized(layer: Any) -> bool:
    return SIZES in layer.tensors if isinstance(layer, OtherLayer) else layer.sizes is not None


def _remedy(adapter: LoraAdapter | EffectAdapter) -> str:
    if isinstance(adapter, LoraAdapter):
        return _("Set network.rank and network.conv_rank to those of the file; lora-tui lora info tells them.")
    return _("Set network.rank, network.conv_rank and how matrices are split to what the file was trained with.")


def _misfit(path: Path, error: ValueError, remedy: str) -> UserError:
    return UserError(
        _("its matrices have other shapes: {reason}").format(reason=plain(str(error), limit=200)),
        place=plain(str(path)),
        remedy=remedy,
        code="lora.ranks",
    )
