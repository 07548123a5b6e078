"""The names that layers have in LoRA files, one table a family. The only place that knows them; needs no torch."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Protocol, cast

#: family as the schema calls it -> the module with its names
NAMES = {
    "flux": "lora_tui.weights.names.flux",
    "sd15": "lora_tui.weights.names.sd15",
    "sd2": "lora_tui.weights.names.sd2",
    "sdxl": "lora_tui.weights.names.sdxl",
}


class Names(Protocol):
    """What a family's module says."""

    def tensor_name(self, part: str, path: str, kind: str) -> str:
        """The name of one tensor of the layer at dotted ``path`` of ``part`` in the family's default layout.

        ``kind`` is what kohya calls it: ``lora_down.weight``, ``lora_up.weight``, ``alpha``, ``dora_scale``,
        ``hada_w1_a`` and so on; a family whose files speak otherwise translates it.

        Raises:
            KeyError: the family has no such part.
        """
        ...


def names_for(family: str) -> Names:
    """The names of ``family``.

    Raises:
        KeyError: there is no such family.
    """
    return cast(Names, import_module(NAMES[family]))


def known_names(family: str, part: str, path: str) -> Iterator[str]:
    """Every name that a file may have for the layer at dotted ``path`` of ``part``; the family's own comes first.

    Raises:
        KeyError: there is no such family or part.
    """
    yield names_for(family).tensor_name(part, path, "alpha").removesuffix(".alpha")
    flat = path.replace(".", "_")
    yield from {"unet": [f"lora_unet_{flat}"], "transformer": [f"lora_transformer_{flat}"]}.get(part, [])
    if part == "text_encoder":
        yield f"lora_te1_text_model_{flat}"
    for prefix in ("", "base_model.model."):
        yield f"{prefix}{part}.{path}"
        if part.startswith("text_encoder"):
            yield f"{prefix}{part}.text_model.{path}"
