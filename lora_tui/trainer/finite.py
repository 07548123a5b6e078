"""Nothing is written of weights that are NaN or Inf: what lies on the disk is always something to go on from."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from lora_tui.errors import UserError
from lora_tui.text import _, plain


def odd_one(tensors: Mapping[str, Tensor]) -> str:
    """The name of the first tensor with NaN or Inf in it; empty where there is none. Waits for the device once."""
    named = {name: tensor for name, tensor in tensors.items() if tensor.is_floating_point() and tensor.numel()}
    if not named:
        return ""
    with torch.no_grad():
        largest = (tensor.abs().amax() for tensor in named.values())  # NaN where one is; quicker than asking of each
        finite = [torch.isfinite(value) for value in largest]
        devices = {value.device for value in finite}  # of a file's tensors some lie on the processor anyway
        told = {one: iter(torch.stack([value for value in finite if value.device == one]).tolist()) for one in devices}
    return next((name for name, value in zip(named, finite, strict=True) if not next(told[value.device])), "")


def require_finite(tensors: Mapping[str, Tensor], step: int, *, kept: int | None) -> None:
    """Refuse to write ``tensors`` of the adapter after ``step`` that have NaN or Inf in them.

    Args:
        kept: the step of the newest state on disk, which is a good one; none where there is no state yet.

    Raises:
        UserError: one has (``nan``).
    """
    name = odd_one(tensors)
    if not name:
        return
    advice = _("Lower the learning rate, or use bf16 or fp32.")
    if kept is None:
        state = _("No state had been written yet.")
    else:
        state = _("The last good state, that of step {step}, is kept.").format(step=kept)
    text = _("at step {step} the weights of the adapter are NaN or Inf, {name} for one: nothing is written of them.")
    raise UserError(
        text.format(step=step, name=plain(name, limit=120)), place="learning", remedy=f"{advice} {state}", code="nan"
    )
