"""One guarded update: gradients summed, clipped and applied, without waiting for the device."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lora_tui.trainer.optim.storage import Row, can_step_rows, rows_of, step_rows

_LEAST = 1e-6
"""Added to the norm that gradients are clipped by, as torch does."""


@dataclass
class Update:
    """One update as tensors on the device: nothing here has waited for it."""

    norm: Tensor  # gradient norm before clipping, float32 scalar
    skipped: Tensor  # 1.0 where a NaN or Inf turned the update into nothing
    own_rate: Tensor | float | None = None  # what an optimizer that finds its step size multiplied the rates with


class Stepper:
    """Clips and applies gradients; an update with NaN or Inf in it is turned into nothing, decided on the device.

    An optimizer that honours ``found_inf`` leaves weights and moments alone then. Any other one, whose kernels cannot
    be told without waiting, takes its step from gradients of zero, and the weights and what it keeps are put back from
    copies: its momentum alone would move them on. Only what it counts in plain numbers, such as its steps, goes on.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, max_norm: float, scaler: torch.amp.GradScaler | None) -> None:
        self.optimizer = optimizer
        self.max_norm = max_norm  # of all gradients together; 0 leaves them as they are
        self.scaler = scaler
        self.parameters: list[Tensor] = [p for group in optimizer.param_groups for p in group["params"]]
        self.rows = rows_of(optimizer)  # the weights side by side, where they can be
        self._steps_rows = can_step_rows(optimizer)
        self._skips_itself = bool(getattr(optimizer, "_step_supports_amp_scaling", False))
        self.train()

    def train(self) -> None:
        """The weights are those to learn with."""
        self._switch("train")

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of ``loss`` (scalar) to those that wait."""
        (self.scaler.scale(loss) if self.scaler else loss).backward()

    def update(self, *, factor: float = 1.0) -> Update:
        """Apply the gradients that wait, multiplied by ``factor``, and clear them. There must be some."""
        if self.scaler:
            self.scaler.scale(self.parameters[0].new_zeros(()))  # begins it where another process had all batches
            self.scaler.unscale_(self.optimizer)
        rows = self._joined()
        gradients = [p.grad for p in self.parameters if p.grad is not None] if rows is None else [g for _row, g in rows]
        if factor != 1.0:
            torch._foreach_mul_(gradients, factor)
        norm = torch.nn.utils.get_total_norm(gradients)
        skipped = (~torch.isfinite(norm)).to(torch.float32)
        if self.max_norm > 0:
            torch._foreach_mul_(gradients, (self.max_norm / (norm + _LEAST)).clamp(max=1.0))
        if rows is not None and self._moments_joined(rows):
            step_rows(rows, skipped)
        elif self._skips_itself:
            self._step_unless(skipped)
        else:
            for gradient in gradients:
                gradient.masked_fill_(skipped > 0, 0.0)
            with self._undone_if(skipped):
                self.optimizer.step()
        if self.scaler:
            self.scaler.update()
        self.discard()
        return Update(norm=norm, skipped=skipped, own_rate=own_rate(self.optimizer))

    def _joined(self) -> list[tuple[Row, Tensor]] | None:
        """The rows that have gradients, with them; none where weights are not in rows."""
        found = [row for row in self.rows or () if row.parameters]
        if not found:
            return None
        if self._steps_rows:
            for row in found:
                row.join()
        return [(row, row.take_gradients()) for row in found]

    def _moments_joined(self, rows: list[tuple[Row, Tensor]]) -> bool:
        """Whether all that the optimizer keeps of ``rows`` lies side by side now, so that it can be moved at once."""
        if not self._steps_rows:
            return False
        if all(row.join_moments(self.optimizer.state) for row, _gradient in rows):
            return True
        self.let_go()
        return False

    def take_apart(self) -> None:
        """Join nothing any more: there is no room for all gradients twice, or other weights have one each time."""
        self.let_go()
        self.rows = None

    def let_go(self) -> None:
        """Hold no row of weights, so that they may go elsewhere; they are joined again by the next update."""
        for row in self.rows or ():
            row.let_go()

    def _step_unless(self, skipped: Tensor) -> None:
        optimizer: Any = self.optimizer
        optimizer.grad_scale, optimizer.found_inf = None, skipped
        try:
            optimizer.step()
        finally:
            del optimizer.grad_scale, optimizer.found_inf

    @contextlib.contextmanager
    def _undone_if(self, skipped: Tensor) -> Iterator[None]:
        """Put back what the optimizer changes on the device, where ``skipped`` is 1; decided there."""
        before = [(holder, name, tensor.detach().clone()) for holder, name, tensor in self._changing()]
        weights = [(p, p.detach().clone()) for p in self.parameters if p.grad is not None]
        yield
        kept = [(holder[name], copy) for holder, name, copy in before if _alike(holder.get(name), copy)]
        with torch.no_grad():
            for now, copy in (*weights, *kept):
                torch.where(skipped > 0, copy, now, out=now)

    def _changing(self) -> Iterator[tuple[dict[str, Any], str, Tensor]]:
        """The tensors on the weights' device that the optimizer keeps, each with where it stands."""
        device = self.parameters[0].device
        for holder in (*self.optimizer.state.values(), *self.optimizer.param_groups):
            for name, value in holder.items():
                if isinstance(value, Tensor) and value.device == device:
                    yield holder, name, value

    def copied_bytes(self) -> int:
        """What an update copies on the device to be able to put it back, as far as it has begun."""
        if self._skips_itself:
            return 0
        return sum(tensor.nbytes for tensor in (*self.parameters, *(tensor for *_place, tensor in self._changing())))

    def forget(self) -> None:
        """Drop what an update that broke off left behind; the optimizer's state is to be loaded after it."""
        self.discard()
        self.let_go()
        self.optimizer.state.clear()
        if self.scaler:
            self.scaler = torch.amp.GradScaler(self.scaler._device)

    def discard(self) -> None:
        """Drop gradients that were not applied."""
        self.optimizer.zero_grad(set_to_none=True)

    @contextlib.contextmanager
    def weights_in_use(self) -> Iterator[None]:
        """The weights are those to draw with, measure and save, for optimizers that train at another point.

        After it they are what they were to the bit, though the way there and back rounds: a run that was asked for a
        sample goes on as one that was not.
        """
        learning = [p.detach().clone() for p in self.parameters] if hasattr(self.optimizer, "eval") else []
        self._switch("eval")
        try:
            yield
        finally:
            self.train()
            with torch.no_grad():
                for parameter, before in zip(self.parameters, learning, strict=False):
                    parameter.copy_(before)

    def _switch(self, mode: str) -> None:
        switch = getattr(self.optimizer, mode, None)
        if switch is not None:
            switch()


def _alike(value: object, copy: Tensor) -> bool:
    """Whether ``value`` is a tensor that ``copy`` can be put into."""
    return isinstance(value, Tensor) and (value.shape, value.dtype, value.device) == (
        copy.shape,
        copy.dtype,
        copy.device,
    )


def own_rate(optimizer: torch.optim.Optimizer) -> Tensor | float | None:
    """The step size that ``optimizer`` has found by itself (Prodigy, D-Adaptation); none for all others."""
    found = getattr(optimizer, "estimate", None)
    if isinstance(found, Tensor):
        return found
    return optimizer.param_groups[0].get("d") if _starts_small(type(optimizer)) else None


@functools.cache
def _starts_small(kind: type) -> bool:
    return "d0" in inspect.signature(kind).parameters
