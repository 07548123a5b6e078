"""DoRA on top of LoRA: the size of each column of a weight is trained apart from its direction.

Liu et al. 2024, "DoRA: Weight-Decomposed Low-Rank Adaptation", with the sizes on the input side, as LyCORIS has it with
``wd_on_output`` off (a key of our files; it is on where one has none) and as ComfyUI, Forge and A1111 read
``dora_scale`` of [1, inputs(, 1, 1)]. They read sizes on the output side, which peft trains, in ways of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from lora_tui.errors import UserError
from lora_tui.families.quantized import QuantizedLinear, full_weight
from lora_tui.text import _, plain

NAME = "dora_scale"


class Decomposed:
    """The forward pass of a LoRA layer whose columns have the sizes ``layer.dora_scale``.

    (W + dW) with its columns brought to those sizes times x is (W + dW) times x scaled by column, so the weight is
    never written out for the backward pass. The norm counts as a constant there (section 4.3 of the paper).
    """

    def __init__(self, layer: Any, name: str, ranks: Callable[[int], int]) -> None:
        """``layer`` is peft's, ``name`` its adapter's; its base is a linear layer, packed or not, or a convolution.

        ``ranks`` tells how many of so many ranks are in use just now, the first ones: all, but while DyLoRA learns.
        """
        self._layer, self._adapter, self._ranks = layer, name, ranks
        self._plain: Callable[..., Tensor] = layer.forward
        self.strength = 1.0
        layer.register_parameter(NAME, nn.Parameter(self.norms()))

    @torch.no_grad()
    def norms(self) -> Tensor:
        """Sizes of the columns of W + dW, with the ranks in use: [1, inputs(, 1, 1)], float32."""
        layer, base = self._layer, self._layer.get_base_layer()
        down, up = layer.lora_A[self._adapter].weight, layer.lora_B[self._adapter].weight
        kept = self._ranks(down.shape[0])
        down, up = down[:kept], up[:, :kept]
        with torch.autocast(down.device.type, enabled=False):
            whole = full_weight(base).to(down.device)  # that of a streamed block may be elsewhere before the first step
            whole = whole + (up.flatten(1) @ down.flatten(1)).view(whole.shape) * layer.scaling[self._adapter]
            found: Tensor = whole.transpose(0, 1).flatten(1).norm(dim=1)
            return found.view(1, -1, *[1] * (whole.dim() - 2)) + torch.finfo(torch.float32).eps

    def __call__(self, x: Tensor, *args: Any, **named: Any) -> Tensor:
        layer = self._layer
        if self.strength == 0:
            return layer.get_base_layer()(x)
        sizes = layer.dora_scale / self.norms()
        shape = (1, -1, 1, 1) if sizes.dim() == 4 else (-1,)
        out = self._plain((x.float() * sizes.view(shape)).to(x.dtype), *args, **named)
        if self.strength == 1.0:
            return out
        base = layer.get_base_layer()(x)
        return base + self.strength * (out - base)


def decompose(layer: Any, name: str, path: str, ranks: Callable[[int], int]) -> Decomposed:
    """Turn a LoRA layer that adds nothing yet into one of DoRA; see :class:`Decomposed` for ``ranks``.

    Raises:
        UserError: its base is of another kind.
    """
    base = layer.get_base_layer()
    if type(base) not in (nn.Linear, nn.Conv2d, QuantizedLinear):
        raise UserError(
            _("DoRA needs the base model's weights, and {layer} is {kind}.").format(
                layer=plain(path), kind=type(base).__name__
            ),
            place="network.dora",
            remedy=_("Set network.dora to false."),
            code="network.dora_base",
        )
    found = Decomposed(layer, name, ranks)
    layer.forward = found.__call__  # a method: to a compiler the same in all layers
    return found
