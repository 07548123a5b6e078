"""Taking an update back that memory ran out in: weights, optimizer, average, scale and random numbers as before it.

Forward and backward passes change none of that. The optimizer does, and only where memory is so short that it may
fail in the midst of it, a copy is kept on the side: of a step that has room nothing is copied and nothing waited for.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from lora_tui.errors import UserError
from lora_tui.text import _
from lora_tui.trainer.memory.ladder import CODE
from lora_tui.trainer.memory.shortage import has_room
from lora_tui.trainer.state import Learned
from lora_tui.trainer.trainee import Trainee

MARGIN = 6
"""Times the bytes of the trained weights that an optimizer's step may take on the side, for copies of its lists."""


@dataclass
class Undo:
    """Of one update; :meth:`begin` it, and :meth:`back` puts everything as it was before.

    Attributes:
        risky: a copy is kept whatever room there is: the optimizer has yet to take its own memory, or it ran out.
        held: bytes of the device that the optimizer cannot have though nothing uses them.
    """

    trainee: Trainee
    device: torch.device
    risky: bool
    held: int = 0
    _random: Tensor = field(init=False)
    _device_random: Tensor | None = field(init=False)
    _copy: Learned | None = field(default=None, init=False)
    _begun: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self._random = torch.get_rng_state()
        self._device_random = torch.cuda.get_rng_state(self.device) if self.device.type == "cuda" else None

    def begin(self) -> None:
        """The optimizer is about to work: keep a copy where it may run out of memory."""
        if self.risky or self._is_short():
            self._copy = copied(self.trainee.learned())
        self._begun = True

    def drop(self) -> None:
        """Let go of gradients."""
        self.trainee.stepper.discard()

    def back(self) -> None:
        """Put everything back.

        Raises:
            UserError: the weights were about to change and no copy was kept.
        """
        if self._begun:
            if self._copy is None:
                raise UserError(
                    _("memory ran out while the weights were changed."),
                    remedy=_("Resume the run: it goes on from its last state and needs less memory."),
                    code=CODE,
                )
            self.trainee.stepper.forget()
            self.trainee.restore(self._copy)
        self._begun, self._copy = False, None
        torch.set_rng_state(self._random)
        if self._device_random is not None:
            torch.cuda.set_rng_state(self._device_random, self.device)

    def _is_short(self) -> bool:
        """Whether the optimizer's step may not find room."""
        stepper = self.trainee.stepper
        size = sum(tensor.nbytes for tensor in stepper.parameters)
        return not has_room(self.device, MARGIN * size + stepper.copied_bytes(), self.held)


def copied(learned: Learned) -> Learned:
    """A copy of everything on the CPU, which later changes do not reach."""

    def copy(value: Any) -> Any:
        return value.detach().to("cpu", copy=True) if isinstance(value, Tensor) else value

    return Learned(
        tree_map(copy, learned.adapter),
        tree_map(copy, learned.optimizer),
        tree_map(copy, learned.configured),
        tree_map(copy, learned.scaler),
        tree_map(copy, learned.average),
    )
