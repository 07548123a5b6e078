"""Blocks of a frozen network that live in the computer's memory and visit the device one after the other.

Nothing of them is ever written back: they do not change. While one block computes, the next one is copied into a slot
beside it. Backward passes go through the blocks the other way round and need each of them again, so that a block must
be computed again there (gradient checkpointing); its weights then stay in their slot until its gradients are done,
because the next block to arrive takes the slot of the one before.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lora_tui.families.devices import pin_large_whole

SLOTS = 2
ALIGNED = 256
"""Bytes that the place of a tensor in its block's memory is a multiple of."""


@dataclass(frozen=True)
class _Held:
    """One frozen tensor of a block: where its bytes begin, and the same as it lies in the computer's memory."""

    tensor: Tensor
    start: int
    home: Tensor


class StreamedBlocks:
    """Streams ``blocks``, which run in this order, through ``slots`` places on ``device``.

    Adapters in them stay on the device: what belongs to none of the network's own modules is not touched. Make it with
    the blocks still on the CPU; from then on moving the blocks moves only their adapters.
    """

    def __init__(
        self, blocks: Sequence[nn.Module], device: torch.device, *, own: Collection[nn.Module], slots: int = SLOTS
    ) -> None:
        """Take the blocks' weights into one piece of memory each, pinned for a GPU, and move their adapters.

        Args:
            own: all modules of the network from before adapters were attached. Whether a tensor has gradients tells
                nothing: those of an adapter that is left out for a while have none.

        Raises:
            ValueError: fewer than two slots.
        """
        if slots < SLOTS:
            raise ValueError(f"{slots} slots: one must be free to be filled while another computes")
        self._blocks, self._device, self._own = list(blocks), device, own
        self._copies = torch.cuda.Stream(device) if device.type == "cuda" else None
        if self._copies is not None:
            pin_large_whole()
        self._homes, self._held = (
            zip(*(self._take(block) for block in self._blocks), strict=True) if blocks else ((), ())
        )
        self._largest = max((home.numel() for home in self._homes), default=0)
        self._count, self._slots = slots, list[Tensor]()
        self._arrived: list[Any] = [None] * slots  # the event after which a slot's copy is complete
        self._in_slot: list[int | None] = [None] * slots
        self._used = [0] * slots  # when a slot's block was last asked for; the oldest goes first
        self._clock, self._last = 0, -1
        self.go_on()
        self.loads = 0
        self._hooks = [
            block.register_forward_pre_hook(self._asks_for(number)) for number, block in enumerate(self._blocks)
        ]

    @property
    def blocks(self) -> tuple[nn.Module, ...]:
        """The streamed blocks in their order."""
        return tuple(self._blocks)

    @property
    def device_bytes(self) -> int:
        """What the slots take on the device now."""
        return self._largest * len(self._slots)

    @property
    def home_bytes(self) -> int:
        """What the blocks take in the computer's memory."""
        return sum(home.numel() for home in self._homes)

    def stop(self) -> None:
        """Put the blocks back: whole, in the computer's memory, to be moved like any module. Waits for the device.

        Nothing of them is held any more: where each goes to the device in another way, its piece of memory goes, too.
        """
        self.rest()
        for hook in self._hooks:
            hook.remove()
        for block in self._blocks:
            del block._apply
        self._blocks, self._homes, self._held, self._hooks = [], (), (), []

    def rest(self) -> None:
        """Leave the device with all blocks until :meth:`go_on`. Waits for the device."""
        if self._copies is not None:  # which still copies into the slots and computes from them
            torch.cuda.synchronize(self._device)
        for number in range(len(self._blocks)):
            self._send_home(number)
        self._slots.clear()
        self._in_slot = [None] * self._count

    def go_on(self) -> None:
        """Take the slots on the device again.

        Raises:
            torch.OutOfMemoryError: there is no room for them; none is taken.
        """
        if not self._slots:
            self._slots = [
                torch.empty(self._largest, dtype=torch.uint8, device=self._device) for _slot in range(self._count)
            ]

    # -- the way of a block --------------------------------------------------------------------------------------

    def _asks_for(self, number: int) -> Callable[..., None]:
        def ask(_module: nn.Module, _inputs: object) -> None:
            self._need(number)

        return ask

    def _need(self, number: int) -> None:
        """Have a block on the device before it computes, and its follower on the way."""
        slot = self._slot_of(number)
        if slot is None:
            slot = self._load(number)
        self._clock += 1
        self._used[slot] = self._clock
        if self._copies is not None:
            torch.cuda.current_stream(self._device).wait_event(self._arrived[slot])
        follower = self._follower(number)
        self._last = number
        if follower is not None and self._slot_of(follower) is None:
            self._load(follower, keep=slot)

    def _follower(self, number: int) -> int | None:
        """The block that comes next, going on as from the last one; after the end of a pass none is guessed."""
        if number == self._last:
            return number - 1 if number == len(self._blocks) - 1 and number > 0 else None
        after = number + 1 if number > self._last or number == 0 else number - 1
        return after if 0 <= after < len(self._blocks) else None

    def _slot_of(self, number: int) -> int | None:
        return self._in_slot.index(number) if number in self._in_slot else None

    def _load(self, number: int, keep: int | None = None) -> int:
        """Copy a block into the slot that has not been asked for the longest, other than ``keep``."""
        slot = min((slot for slot in range(len(self._slots)) if slot != keep), key=self._used.__getitem__)
        before = self._in_slot[slot]
        if before is not None:
            self._send_home(before)
        home, place = self._homes[number], self._slots[slot][: self._homes[number].numel()]
        if self._copies is None:
            place.copy_(home)
        else:  # what still reads the slot was started before now
            self._copies.wait_stream(torch.cuda.current_stream(self._device))
            with torch.cuda.stream(self._copies):
                place.copy_(home, non_blocking=True)
                self._arrived[slot] = torch.cuda.Event()
                self._arrived[slot].record(self._copies)
        for held in self._held[number]:
            held.tensor.data = _at(place, held.start, held.home)
        self._in_slot[slot] = number
        self._clock += 1
        self._used[slot] = self._clock
        self.loads += 1
        return slot

    def _send_home(self, number: int) -> None:
        for held in self._held[number]:
            held.tensor.data = held.home

    # -- taking them ---------------------------------------------------------------------------------------------

    def _take(self, block: nn.Module) -> tuple[Tensor, list[_Held]]:
        """One piece of memory with all tensors of ``block`` itself, which from now on look into it."""
        modules = list(block.modules())
        frozen = _tensors(module for module in modules if module in self._own)
        added = [module for module in modules if module not in self._own]
        starts, size = [], 0
        for tensor in frozen:
            starts.append(size)
            size += -(-tensor.numel() * tensor.element_size() // ALIGNED) * ALIGNED
        home = torch.empty(size, dtype=torch.uint8, pin_memory=self._device.type == "cuda")
        held = []
        for tensor, start in zip(frozen, starts, strict=True):
            place = _at(home, start, tensor)
            place.copy_(tensor.data)
            tensor.data = place
            held.append(_Held(tensor, start, place))
        for tensor in _tensors(added):
            tensor.data = tensor.data.to(self._device)
        block._apply = _adapters_alone(block, self._own)  # type: ignore[method-assign]
        return home, held


def _at(memory: Tensor, start: int, like: Tensor) -> Tensor:
    """The tensor of the type and shape of ``like`` whose bytes begin at ``start`` of ``memory``."""
    size = like.numel() * like.element_size()
    return memory[start : start + size].view(like.dtype).view(like.shape)


def _tensors(modules: Iterable[nn.Module]) -> list[Tensor]:
    """What the ``modules`` hold themselves, each once."""
    held: Iterator[Tensor] = (
        tensor for module in modules for tensor in (*module.parameters(recurse=False), *module.buffers(recurse=False))
    )
    return list({id(tensor): tensor for tensor in held}.values())


def _adapters_alone(block: nn.Module, own: Collection[nn.Module]) -> Callable[..., nn.Module]:
    """What ``block`` does when a module around it is moved."""

    def apply(fn: Callable[[Tensor], Tensor], recurse: bool = True) -> nn.Module:
        with torch.no_grad():
            for tensor in _tensors(module for module in block.modules() if module not in own):
                tensor.data = fn(tensor.data)
                if tensor.grad is not None:
                    tensor.grad.data = fn(tensor.grad.data)
        return block

    return apply
