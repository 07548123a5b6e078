"""The trained weights of a run in one piece of memory, so that an update is a few operations whatever their number.

Each weight stays what it is, with its shape, name and group, and is a view into the row of its group: optimizers that
look at rows and columns (Adafactor, CAME) see what they saw before, and files of a state are the same to the byte.
Gradients come into being one by one, as memory is let go of, and are joined when all are there: a row of them that lay
ready would be in memory while activations are at their most. Sums over a row are taken in another order than over its
weights one by one, so numbers differ from those within rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch._utils import _flatten_dense_tensors, _unflatten_dense_tensors

MOMENTS = ("exp_avg", "exp_avg_sq")
"""What AdamW keeps for each weight, besides the number of its steps."""


@dataclass
class Row:
    """The weights of the group ``number`` of an optimizer (all float32, on one device) in one tensor, ``whole``.

    Of each update those that have a gradient in it; they are joined anew where these are others than in the last one.
    """

    optimizer: torch.optim.Optimizer
    number: int
    whole: Tensor = field(init=False, default_factory=lambda: torch.empty(0))
    moments: list[Tensor] = field(init=False, default_factory=list)  # rows of MOMENTS, once there has been an update
    steps: Tensor | None = field(init=False, default=None)  # updates of each weight, which are all as many
    _places: list[int] = field(init=False, default_factory=list)
    _kept: list[dict[str, Any]] = field(init=False, default_factory=list)  # the states that are views of moments

    @property
    def group(self) -> dict[str, Any]:
        """What the optimizer says of it now; a state that is taken up brings another one."""
        return self.optimizer.param_groups[self.number]

    @property
    def parameters(self) -> list[Tensor]:
        """Those of the group that have a gradient; some never get one, such as those of layers that are skipped."""
        return [weight for weight in self.group["params"] if weight.grad is not None]

    @torch.no_grad()
    def join(self) -> None:
        """Put the weights side by side, unless they are: they may have been to another device."""
        weights = self.parameters
        if self._places == [weight.data_ptr() for weight in weights]:
            return
        self.whole = joined(weights)
        for weight, piece in zip(weights, views(self.whole, weights), strict=True):
            weight.data = piece
        self._places = [weight.data_ptr() for weight in weights]

    def take_gradients(self) -> Tensor:
        """All gradients in one row; the weights' own become views of it."""
        weights = self.parameters
        whole = joined([weight.grad for weight in weights if weight.grad is not None])
        for weight, piece in zip(weights, views(whole, weights), strict=True):
            weight.grad = piece
        return whole

    @torch.no_grad()
    def join_moments(self, state: Any) -> bool:
        """Put what AdamW keeps in ``state`` side by side, making it where there is none; false where it cannot be.

        It cannot where weights have come through different numbers of updates. The numbers are looked at when a state
        is new here, as after a resume, and not again.
        """
        own = [state[weight] for weight in self.parameters]
        if len(self._kept) == len(own) and all(self._is_own(one, number) for number, one in enumerate(own)):
            return True
        if any(own):
            if not all({*MOMENTS, "step"} == one.keys() for one in own):
                return False
            counts = torch.stack([one["step"].detach().to(self.whole) for one in own]).tolist()
            if len(set(counts)) > 1:
                return False
            self.moments = [joined([one[name] for one in own]) for name in MOMENTS]
            self.steps = self.whole.new_full((len(own),), counts[0])
        else:
            self.moments = [torch.zeros_like(self.whole) for _name in MOMENTS]
            self.steps = self.whole.new_zeros(len(own))
        pieces = [views(moment, self.parameters) for moment in self.moments]
        for number, one in enumerate(own):
            one.update(
                {"step": self.steps[number], **{name: pieces[place][number] for place, name in enumerate(MOMENTS)}}
            )
        self._kept = [dict(one) for one in own]
        return True

    def let_go(self) -> None:
        """Hold nothing any more, so that weights and moments may go elsewhere or be taken one by one."""
        self.whole, self.moments, self.steps = torch.empty(0), [], None
        self._places, self._kept = [], []

    def _is_own(self, state: dict[str, Any], number: int) -> bool:
        kept = self._kept[number]
        return all(state.get(name) is kept[name] for name in ("step", *MOMENTS))


def rows_of(optimizer: torch.optim.Optimizer) -> list[Row] | None:
    """A row for each group of ``optimizer``; none where its weights are not all dense, float32 and on one device."""
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    kinds = {(weight.dtype, weight.device, weight.layout) for weight in weights}
    if len(kinds) != 1 or weights[0].dtype != torch.float32 or weights[0].layout != torch.strided:
        return None
    if len({id(weight) for weight in weights}) != len(weights) or any(not weight.is_contiguous() for weight in weights):
        return None
    return [Row(optimizer, number) for number, group in enumerate(optimizer.param_groups) if group["params"]]


def step_rows(rows: Sequence[tuple[Row, Tensor]], skipped: Tensor) -> None:
    """One update of AdamW (torch's fused kernel) with the gradients of each row, none where ``skipped`` is 1.

    The moments must be joined. As :meth:`torch.optim.AdamW.step` does it, weight by weight.
    """
    with torch.no_grad():
        for row, gradient in rows:
            group, (mean, square), steps = row.group, row.moments, row.steps
            assert steps is not None
            steps += 1
            torch._fused_adamw_(
                [row.whole], [gradient], [mean], [square], [], [steps[0]], lr=group["lr"], beta1=group["betas"][0],
                beta2=group["betas"][1], weight_decay=group["weight_decay"], eps=group["eps"], amsgrad=False,
                maximize=group["maximize"], grad_scale=None, found_inf=skipped,
            )  # fmt: skip
            steps -= skipped


def can_step_rows(optimizer: torch.optim.Optimizer) -> bool:
    """Whether :func:`step_rows` does what ``optimizer`` itself would."""
    return type(optimizer) is torch.optim.AdamW and all(
        group["fused"] and not group["amsgrad"] for group in optimizer.param_groups
    )


def joined(tensors: Sequence[Tensor]) -> Tensor:
    """``tensors`` side by side in a new one, or the only one as it is: [sum of their sizes]."""
    with torch.no_grad():
        return _flatten_dense_tensors(tensors)


def views(whole: Tensor, like: Sequence[Tensor]) -> list[Tensor]:
    """Pieces of ``whole`` in the shapes of ``like``, in their order."""
    return list(_unflatten_dense_tensors(whole, like))
