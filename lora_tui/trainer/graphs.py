"""The network's passes of a step recorded once as CUDA graphs and played again: one launch each instead of thousands.

A batch of tensors of the same shapes as one before is recorded, forward and back, the second time it is met; what is
met once is computed as ever. Before anything that was recorded is used, it is played with other numbers and compared
with plain passes. Only passes with gradients are played: samples and validation compute as ever.

What was recorded reads weights, and the memory of what it makes, from where they lay: it is forgotten when they may go
elsewhere. What cannot be recorded computes as ever, with one warning; so does a run whose memory does not suffice for
what recordings keep.

No other graph of autograd that has gradients of the same weights may be alive while a pass is recorded: where gradients
go to is a node that all of them share, and it belongs to the stream of the first.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

from lora_tui.config.rules.graphs import ungraphed
from lora_tui.families.precision import autocast
from lora_tui.families.protocol import Model, Tensors
from lora_tui.text import _, plain
from lora_tui.trainer.material import Material
from lora_tui.trainer.optim.storage import joined, views
from lora_tui.trainer.record import record_quicker
from lora_tui.trainer.session import Session
from lora_tui.trainer.trainee import Trainee

T = TypeVar("T")
Key = tuple[tuple[str, torch.Size, torch.dtype, bool], ...]

LIMIT = 24
"""Shapes that are recorded; each keeps its inputs and its output, the rest of its memory is shared by all."""
WARM_UPS = 3
"""Passes before a recording, in which libraries choose what they compute with."""
BAND = {torch.float32: 1e-3, torch.float16: 2e-2, torch.bfloat16: 5e-2}
"""How far a played pass may be from a plain one, as a share of the norm; sums may be taken in another order."""


class Recorder(Protocol):
    """What records the work of a device."""

    def warm_up(self, work: Callable[[], object]) -> None:
        """Do ``work`` some times, aside."""
        ...

    def record(self, work: Callable[[], T]) -> tuple[T, Callable[[], object]]:
        """What ``work`` gives, and what does the same again into the same memory."""
        ...

    def held(self) -> int:
        """Bytes of the device that nothing but what was recorded can use."""
        ...


class CudaRecorder:
    """Records CUDA graphs; all share one pool of memory, as no two passes are ever under way at once."""

    @staticmethod
    def serves(device: torch.device) -> bool:
        """Whether ``device`` has them."""
        return device.type == "cuda" and torch.version.hip is None

    def __init__(self) -> None:
        self._pool = torch.cuda.graph_pool_handle()

    def warm_up(self, work: Callable[[], object]) -> None:
        torch.cuda.synchronize()
        with torch.cuda.stream(torch.cuda.Stream()):
            for _again in range(WARM_UPS):
                work()
        torch.cuda.synchronize()

    def record(self, work: Callable[[], T]) -> tuple[T, Callable[[], object]]:
        graph, before = torch.cuda.CUDAGraph(), torch.cuda.current_stream()
        try:
            # Threads that read ahead pin memory meanwhile, which is no part of it.
            with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
                found = work()
        except BaseException:
            self._leave(before)
            raise
        return found, graph.replay

    def held(self) -> int:
        segments = torch.cuda.memory_snapshot()
        return sum(one["total_size"] for one in segments if tuple(one["segment_pool_id"]) == tuple(self._pool))

    def _leave(self, before: torch.cuda.Stream) -> None:
        """Be outside of a recording that broke off, which torch leaves halfway where it cannot be ended.

        Then the stream of the recording would stay the one to work in, and the allocator would take it to go on: the
        pool would never be given back, nor anything that is cached while memory is short.
        """
        torch.cuda.set_stream(before)
        with contextlib.suppress(RuntimeError):  # says that it was ended, and then the graph gives back its pool itself
            torch._C._cuda_endAllocateToPool(before.device_index, self._pool)
            torch._C._cuda_releasePool(before.device_index, self._pool)


Predict = Callable[[Tensor, Tensor, Tensors], Tensor]


class _Recorded:
    """A pass forward and one back for tensors of one shape.

    Attributes:
        inputs: by name; what is played reads them here.
    """

    def __init__(
        self, predict: Callable[[Tensors], Tensor], parameters: Sequence[Tensor], inputs: Tensors, recorder: Recorder,
        shelf: Sequence[Tensor],
    ) -> None:  # fmt: skip
        """Record ``predict`` of ``inputs``; any error of it goes on.

        ``shelf``: like ``parameters``; all passes leave the gradients of these there, as only one is ever looked at.
        """
        self.inputs = {
            name: tensor.detach().clone().requires_grad_(tensor.requires_grad) for name, tensor in inputs.items()
        }
        self._told = [name for name, tensor in self.inputs.items() if tensor.requires_grad]
        self._parameters = list(parameters)
        wanted = [*self._parameters, *(self.inputs[name] for name in self._told)]
        made: dict[str, Tensor] = {}

        def forward() -> Tensor:
            made["output"] = predict(self.inputs)
            return made["output"]

        def backward() -> tuple[Tensor | None, ...]:
            found = torch.autograd.grad(made["output"], wanted, self._above, allow_unused=True)
            own = [(place, new) for place, new in zip(shelf, found, strict=False) if new is not None]
            if own:
                torch._foreach_copy_([place for place, _new in own], [new for _place, new in own])
            left = [None if new is None else place for place, new in zip(shelf, found, strict=False)]
            return (*left, *found[len(shelf) :])

        def both() -> None:
            self._above = torch.zeros_like(forward())
            backward()
            made.clear()

        recorder.warm_up(both)
        output, self._forward = recorder.record(forward)
        self._above = torch.zeros_like(output)
        found, self._backward = recorder.record(backward)
        self._output = output.detach()
        self._gradients = found
        made.clear()

    def forward(self, inputs: Tensors) -> Tensor:
        """The output for ``inputs``, in memory that the next pass overwrites."""
        for name, tensor in inputs.items():
            self.inputs[name].detach().copy_(tensor)
        self._forward()
        return self._output

    def backward(self, above: Tensor) -> list[Tensor | None]:
        """Gradients of parameters, then of the inputs that want one, in memory that the next pass overwrites."""
        self._above.copy_(above)
        self._backward()
        return list(self._gradients)

    def add(self, gradients: Sequence[Tensor | None]) -> dict[str, Tensor]:
        """Add the parameters' ``gradients`` to those that wait; copies of the inputs' by name."""
        own = [
            (parameter, gradient)
            for parameter, gradient in zip(self._parameters, gradients, strict=False)
            if gradient is not None
        ]
        waiting = [(parameter, gradient) for parameter, gradient in own if parameter.grad is not None]
        if waiting:
            torch._foreach_add_([parameter.grad for parameter, _new in waiting], [new for _parameter, new in waiting])
        fresh = [(parameter, gradient) for parameter, gradient in own if parameter.grad is None]
        if fresh:
            news = [gradient for _parameter, gradient in fresh]
            for (parameter, _gradient), piece in zip(fresh, views(_copied(news), news), strict=True):
                parameter.grad = piece
        others = zip(self._told, gradients[len(self._parameters) :], strict=True)
        return {name: gradient.clone() for name, gradient in others if gradient is not None}


def _copied(tensors: Sequence[Tensor]) -> Tensor:
    """``tensors`` side by side in memory of their own."""
    return joined(tensors) if len(tensors) > 1 else tensors[0].detach().reshape(-1).clone()


class _Played(torch.autograd.Function):
    """A recorded pass as a part of the step's graph; its gradients go to the parameters at once."""

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, graphs: Graphs, recorded: _Recorded, names: tuple[str, ...], _anchor: Tensor, *inputs: Tensor
    ) -> Tensor:
        ctx.graphs, ctx.recorded, ctx.names = graphs, recorded, names
        return recorded.forward(dict(zip(names, inputs, strict=True))).clone()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, above: Tensor) -> tuple[Any, ...]:  # type: ignore[override]
        recorded: _Recorded = ctx.recorded
        told = recorded.add(recorded.backward(above))
        ctx.graphs.under_way = False
        return (None, None, None, None, *(told.get(name) for name in ctx.names))


@dataclass
class Graphs:
    """Predicts as a model does, and plays what was recorded for tensors of the same shapes.

    Attributes:
        parameters: that get gradients.
        possible: whether passes can be recorded as the run computes now.
        limit: of shapes that are recorded.
        under_way: a pass forward was played whose way back was not.
        reason: why it was given up; empty while it is not.
        held: bytes of the device that nothing but what is recorded now can use.
        changed: told when something was recorded or it was given up.
    """

    model: Model
    parameters: Sequence[Tensor]
    recorder: Callable[[], Recorder]
    possible: Callable[[], bool] = lambda: True
    changed: Callable[[], object] = lambda: None
    limit: int = LIMIT
    under_way: bool = field(default=False, init=False)
    reason: str = field(default="", init=False)
    held: int = field(default=0, init=False)
    _met: Counter[Key] = field(default_factory=Counter, init=False)
    _recorded: dict[Key, _Recorded] = field(default_factory=dict, init=False)
    _places: tuple[int, ...] = field(default=(), init=False)
    _own: Recorder | None = field(default=None, init=False)
    _shelf: list[Tensor] = field(default_factory=list, init=False)  # of gradients, for all that is recorded
    _kept: bool = field(default=False, init=False)  # something was recorded at some time
    _anchor: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self._anchor = torch.zeros((), requires_grad=True)  # has autograd come back here

    @property
    def shapes(self) -> int:
        """How many are recorded now."""
        return len(self._recorded)

    def forget(self) -> None:
        """Let go of all that was recorded; it is recorded anew when it is met again."""
        self._recorded.clear()
        self._own, self._shelf, self.under_way, self.held = None, [], False, 0

    def make_room(self) -> bool:
        """Give it up for good, as memory is short; whether it had any."""
        if self.reason or not self._kept:
            return False
        self._give_up(_("memory ran out."))
        self.changed()
        return True

    def predict(self, noisy: Tensor, timesteps: Tensor, conditioning: Tensors) -> Tensor:
        """What the model predicts, with gradients. Within :func:`~lora_tui.families.precision.autocast`."""
        if self.reason or not torch.is_grad_enabled() or not self.possible():
            return self.model.predict(noisy, timesteps, conditioning)
        inputs = {"noisy": noisy, "timesteps": timesteps, **{f"told.{name}": t for name, t in conditioning.items()}}
        key: Key = tuple((name, t.shape, t.dtype, t.requires_grad) for name, t in inputs.items())
        self._met[key] += 1
        recorded = self._known(key, inputs)
        if recorded is None or self.under_way:
            return self.model.predict(noisy, timesteps, conditioning)
        self.under_way = True
        found: Tensor = _Played.apply(self, recorded, tuple(inputs), self._anchor, *inputs.values())
        return found

    def _known(self, key: Key, inputs: Tensors) -> _Recorded | None:
        places = tuple(parameter.data_ptr() for parameter in self.parameters)
        if places != self._places:
            self.forget()
            self._places = places
        found = self._recorded.get(key)
        if found is None and self._met[key] > 1 and self.shapes < self.limit:
            found = self._record(inputs)
            if found is not None:
                self._recorded[key], self._kept = found, True
            self.changed()
        return found

    def _record(self, inputs: Tensors) -> _Recorded | None:
        """``inputs`` recorded and found to be right; none where that failed, which gives it up for good."""
        device, dtype = self.model.device, self.model.dtype
        try:
            with torch.autocast(device.type, enabled=False):  # as the way back is computed elsewhere
                checked = {name: _other(tensor) for name, tensor in inputs.items()}
                right = self._plain(checked)
                self._own = self._own or self.recorder()
                self._shelf = self._shelf or [torch.zeros_like(parameter) for parameter in self.parameters]
                recorded = _Recorded(self._of, self.parameters, inputs, self._own, self._shelf)
                output = recorded.forward(checked).clone()
                found = [output, *recorded.backward(_slope(output))]
            off, self.held = _distance(found, right), self._own.held()
        except Exception as error:  # of any kind: nothing was changed, and plain passes meet what is not of recording
            self._give_up(_first_line(error))
            return None
        if not off <= BAND.get(dtype, max(BAND.values())):
            self._give_up(_("what was recorded differs from plain passes by {share}.").format(share=f"{off:.1%}"))
            return None
        return recorded

    def _of(self, inputs: Tensors) -> Tensor:
        """The prediction, with weights that learn converted in it and not before: a recording must hold that, too."""
        told = {name.removeprefix("told."): tensor for name, tensor in inputs.items() if name.startswith("told.")}
        torch.clear_autocast_cache()
        try:
            with autocast(self.model.device, self.model.dtype):
                return self.model.predict(inputs["noisy"], inputs["timesteps"], told)
        finally:
            torch.clear_autocast_cache()  # which the step's own around it would do later

    def _plain(self, inputs: Tensors) -> list[Tensor | None]:
        """Output and gradients of plain passes, for the gradient that :func:`_slope` gives."""
        output = self._of(inputs)
        wanted = [*self.parameters, *(tensor for tensor in inputs.values() if tensor.requires_grad)]
        gradients = torch.autograd.grad(output, wanted, _slope(output), allow_unused=True)
        return [output.detach(), *gradients]

    def _give_up(self, reason: str) -> None:
        self.reason = reason
        self.forget()


def _other(tensor: Tensor) -> Tensor:
    """Other numbers of the kind of ``tensor``: what a recording has kept of its own would give something else."""
    if tensor.is_floating_point():
        return (tensor.detach() * 0.5).requires_grad_(tensor.requires_grad)
    return tensor.clone() if tensor.dtype == torch.bool else tensor // 2


def _slope(output: Tensor) -> Tensor:
    """A gradient of ``output`` to compare with; of norm 1, so that sums of it stay within half precision."""
    return torch.full_like(output, output.numel() ** -0.5, requires_grad=False)


def _distance(found: Sequence[Tensor | None], right: Sequence[Tensor | None]) -> float:
    """The larger of how far outputs and all gradients are from the ``right`` ones, as shares of these; inf for NaN."""
    if [one is None for one in found] != [one is None for one in right]:
        return float("inf")
    shares = []
    for part in (slice(0, 1), slice(1, None)):
        pairs = [
            (one.float(), other.float())
            for one, other in zip(found[part], right[part], strict=True)
            if one is not None and other is not None
        ]
        if pairs:
            off = torch.stack([(one - other).norm() for one, other in pairs]).norm()
            shares.append(float(off / torch.stack([other.norm() for _one, other in pairs]).norm().clamp(min=1e-30)))
    return max((share if share == share else float("inf") for share in shares), default=0.0)


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0]}"[:300] if lines else type(error).__name__


def play_graphs(session: Session, material: Material, trainee: Trainee) -> None:
    """Have the steps of ``session`` recorded and played where that can be, and tell of it."""
    reason = ungraphed(session.config)
    if not reason and not CudaRecorder.serves(session.device):
        reason = _("{device} has no CUDA graphs.").format(device=session.device)
    if reason:
        _warn(session, reason)
        return
    denoiser, ladder = trainee.model.facts.denoiser, session.ladder
    groups = trainee.stepper.optimizer.param_groups
    own = [group for group in groups if group["name"] == denoiser]
    parameters = [parameter for group in own for parameter in group["params"] if parameter.requires_grad]
    graphs = Graphs(
        material.model, parameters, CudaRecorder,
        possible=lambda: not ladder.policy.checkpointed and not ladder.policy.streamed,
    )  # fmt: skip

    def tell() -> None:
        if session.ranks.is_first:
            session.events.emit("graphs", shapes=graphs.shapes, reason=graphs.reason)
            record_quicker(session, "graphs", shapes=graphs.shapes)
        if graphs.reason:
            _warn(session, graphs.reason)

    graphs.changed = tell
    material.step = replace(material.step, predict=graphs.predict)
    ladder.idle.append(graphs.forget)
    ladder.spare.append(graphs.make_room)
    ladder.held = lambda: graphs.held
    ladder.changed.append(lambda _policy: graphs.forget())


def _warn(session: Session, reason: str) -> None:
    if session.ranks.is_first:
        record_quicker(session, "graphs", reason=reason)
        text = _("steps are not played as CUDA graphs, they compute as ever: {reason}")
        session.warn(
            "graphs.failed", text.format(reason=plain(reason, limit=300)), _("Set memory.cuda_graphs to false.")
        )
