"""Going on from a LoRA file: its layers are found by whatever names it goes by."""

from __future__ import annotations

from lora_tui.errors import UserError
from lora_tui.places import expand
from lora_tui.text import _, plain
from lora_tui.trainer.adapters.lora import LoraAdapter
from lora_tui.weights.reading import layers_by_name, read_lora


def start_from(adapter: LoraAdapter, file: str, family: str) -> list[str]:
    """Put the LoRA in ``file`` into ``adapter``; names of what is in it and not trained here are returned.

    Raises:
        UserError: it cannot be read, none of its layers is trained here, or its ranks are others.
    """
    path = expand(file)
    stored = read_lora(path)
    places = layers_by_name(family, adapter.layers)
    found = {places[name]: layer for name, layer in stored.layers.items() if name in places}
    if not found:
        raise UserError(
            _("none of its layers is trained here."),
            place=plain(str(path)),
            remedy=_("Give a LoRA of this family, or leave network.start_from empty."),
            code="lora.unmatched",
        )
    if any(layer.sizes is not None for layer in found.values()) and not adapter.decomposed:
        raise UserError(
            _("it is a DoRA: without its sizes it would be another one."),
            place=plain(str(path)),
            remedy=_("Set network.dora to true, or choose another file."),
            code="lora.dora",
        )
    try:
        adapter.start_from(found)
    except ValueError as error:
        raise UserError(
            _("its matrices have other shapes: {reason}").format(reason=plain(str(error), limit=200)),
            place=plain(str(path)),
            remedy=_("Set network.rank and network.conv_rank to those of the file; lora-tui lora info tells them."),
            code="lora.ranks",
        ) from error
    return [*(name for name in stored.layers if name not in places), *stored.unread]
