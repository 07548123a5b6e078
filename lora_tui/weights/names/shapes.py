"""Names and shapes of the tensors of a LoRA file in any layout, before there is one. Needs no torch."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from lora_tui.weights.kinds import RANKED, Form, tensor_shapes
from lora_tui.weights.names import Layout, folds, fuses, names_for
from lora_tui.weights.names.originals import ORIGINALS

FEED = 4
Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Adapted:
    """One layer of an adapter: where it is, its rank and its widths, as ``TargetModule`` has them.

    ``kernel`` is none for a linear layer; ``sizes``: whether a DoRA trains one number for each input; ``form``: of
    an adapter that is no LoRA.
    """

    part: str
    path: str
    rank: int
    inputs: int
    outputs: int
    kernel: int | None = None
    sizes: bool = False
    form: Form | None = None

    def own(self) -> Shapes:
        """Its tensors without the alpha."""
        if self.form is not None:
            return tensor_shapes(self.form, self.path, self.inputs, self.outputs, self.rank, kernel=self.kernel)
        ones, kernel = ((1, 1), (self.kernel, self.kernel)) if self.kernel else ((), ())
        found: Shapes = {
            "lora_down.weight": (self.rank, self.inputs, *kernel),
            "lora_up.weight": (self.outputs, self.rank, *ones),
        }
        return found | ({"dora_scale": (1, self.inputs, *ones)} if self.sizes else {})

    @property
    def values(self) -> int:
        """How many numbers of it are trained."""
        own = sum(math.prod(shape) for name, shape in self.own().items() if name != "on_input")
        return own + (1 if self.form is not None and self.form.scalar else 0)

    @property
    def has_alpha(self) -> bool:
        return self.form is None or self.form.kind in (*RANKED, "oft", "boft")


def file_shapes(family: str, layout: Layout, layers: Iterable[Adapted]) -> Shapes:
    """Shapes by name, as :func:`lora_tui.weights.lora_file.file_tensors` makes them of such layers."""
    names = names_for(family, layout)
    alpha = not folds(family, layout)
    found: Shapes = {}
    for layer in _fused(family, layers) if fuses(family, layout) else layers:
        shapes = layer.own()
        if layer.has_alpha and (alpha or layer.form is not None):
            shapes["alpha"] = ()
        found |= {names.tensor_name(layer.part, layer.path, kind): shape for kind, shape in shapes.items()}
    return found


def _fused(family: str, layers: Iterable[Adapted]) -> Iterable[Adapted]:
    """Several of diffusers' layers of the transformer as one of the original layout; their ranks add up."""
    makers = ORIGINALS[family]
    ranks: dict[str, int] = {}
    first: dict[str, Adapted] = {}
    for layer in layers:
        if layer.part != "transformer":
            yield layer
            continue
        original, _place = makers.original_of(layer.path)
        ranks[original] = ranks.get(original, 0) + layer.rank
        first.setdefault(original, layer)
    for original, layer in first.items():
        count = len(makers.layer_of(original))
        outputs = layer.outputs if count == 1 else layer.inputs * (3 + FEED * (count - 3))
        yield Adapted(layer.part, original, ranks[original], layer.inputs, outputs)
