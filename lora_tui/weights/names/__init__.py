"""The names that layers have in LoRA files, one table a family. The only place that knows them; needs no torch."""

from __future__ import annotations

from importlib import import_module
from typing import Literal, Protocol, cast

#: family as the schema calls it -> the module with its names
NAMES = {
    "flux": "lora_tui.weights.names.flux",
    "sd3": "lora_tui.weights.names.dotted",
    "chroma": "lora_tui.weights.names.dotted",
    "flux2": "lora_tui.weights.names.dotted",
    "zimage": "lora_tui.weights.names.comfyui",
    "qwen": "lora_tui.weights.names.comfyui",
    "sd15": "lora_tui.weights.names.sd15",
    "sd2": "lora_tui.weights.names.sd2",
    "sdxl": "lora_tui.weights.names.sdxl",
}
FUSED = ("flux", "flux2", "sd3", "chroma", "zimage")
"""Families whose makers keep several layers in one, as kohya's files of them do: ``weights.names.originals``."""
_OTHERS = {(family, "kohya"): "lora_tui.weights.names.kohya_fused" for family in FUSED} | {
    (family, "diffusers"): "lora_tui.weights.names.dotted" for family in NAMES
}
_OTHERS["qwen", "kohya"] = "lora_tui.weights.names.kohya_fused"  # whose makers fuse nothing
#: ``saving.layout``: the family's own names, kohya's (transformers: several layers in one), or those of diffusers.
Layout = Literal["auto", "kohya", "diffusers"]


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


def names_for(family: str, layout: Layout = "auto") -> Names:
    """The names that files of ``family`` have in ``layout``.

    Raises:
        KeyError: there is no such family.
    """
    return cast(Names, import_module(_OTHERS.get((family, layout), NAMES[family])))


def fuses(family: str, layout: Layout) -> bool:
    """Whether files in ``layout`` hold several of the family's layers in one, see ``weights.fused``."""
    return family in FUSED and layout == "kohya"


def folds(family: str, layout: Layout) -> bool:
    """Whether the scale stands in the matrices, because readers of ``layout`` look for no alpha beside them.

    diffusers refuses a whole file of SD3 or FLUX.2 for one alpha in it, and one of Z-Image that has its own names;
    it reads FLUX.1's and Chroma's.
    """
    if family in ("sd3", "flux2"):
        return layout != "kohya"
    return layout == "diffusers" and family not in ("flux", "chroma")
