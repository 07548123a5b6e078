"""Which of torch's kernels computes the attention of a run: the named one, or the quickest for its largest batch.

The kernel is set for the whole process and held from before the first pass to the end of the run: what is computed
again on the way back runs outside of any ``with`` around the way forward. It comes first; what it cannot do (a mask, a
width of heads) goes to the others in torch's own order. ``math`` can do everything, so it stands alone: an order has no
effect on a CPU, where torch takes FlashAttention before it wherever both are allowed.

All of the run computes so, samples and validation too. A resumed run takes the kernel that was measured before, so that
its numbers stay those of an unbroken one; on another device it measures anew.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from lora_tui.runs.attention import ENTRY, Attention, attention_of
from lora_tui.runs.record import read_record, update_record
from lora_tui.text import _
from lora_tui.trainer.data.prepared import Prepared
from lora_tui.trainer.material import Material
from lora_tui.trainer.memory.shortage import give_back, is_shortage
from lora_tui.trainer.rehearsal import batches_by_shape, rehearse
from lora_tui.trainer.session import Session
from lora_tui.trainer.trainee import Trainee

TORCH = "torch"
"""No kernel in particular: each call as torch chooses."""
KERNELS: Mapping[str, SDPBackend] = {
    "flash": SDPBackend.FLASH_ATTENTION,
    "efficient": SDPBackend.EFFICIENT_ATTENTION,
    "math": SDPBackend.MATH,
    "cudnn": SDPBackend.CUDNN_ATTENTION,
}
"""By the names of the setting, in torch's own order."""
ROUNDS = 3
"""Passes of each kernel that are timed, in turns, after one that is not: the quickest counts."""


_held = [TORCH]


def held() -> str:
    """The kernel that is held now; :data:`TORCH` where none is."""
    return _held[-1]


@contextlib.contextmanager
def attending(kernel: str) -> Iterator[None]:
    """Have attention computed by ``kernel`` wherever it can, in all threads; :data:`TORCH` changes nothing."""
    if kernel == TORCH:
        yield
        return
    first = KERNELS[kernel]
    rest = [other for other in KERNELS.values() if other != first] if first != SDPBackend.MATH else []
    with sdpa_kernel([first, *rest], set_priority=True):
        _held.append(kernel)
        try:
            yield
        finally:
            _held.pop()


def serves(kernel: str, device: torch.device, dtype: torch.dtype) -> bool:
    """Whether ``device`` has ``kernel`` for numbers of ``dtype``, forward and back: tried on a few of them."""
    with torch.enable_grad(), sdpa_kernel(KERNELS[kernel]):
        tokens = torch.ones(1, 1, 64, 64, device=device, dtype=dtype, requires_grad=True)
        try:
            scaled_dot_product_attention(tokens, tokens, tokens).sum().backward()
        except RuntimeError:  # none of those that are allowed is there
            return False
    return True


def choose_attention(session: Session, material: Material, trainee: Trainee) -> str:
    """The kernel for this run, by its name here: told and noted where the settings ask for one. Before processes join.

    Raises:
        StopRun: a stop was asked for.
        UserError: a batch cannot be made ready.
    """
    asked, record = session.config.memory.attention, read_record(session.folder)
    if asked == TORCH:
        if record.get(ENTRY):
            _note(session, None)
        return TORCH
    there = [name for name in KERNELS if serves(name, session.device, session.dtype)]
    if asked in KERNELS:
        found = _named(session, asked, there)
    else:
        before = attention_of(record)
        known = before is not None and (before.asked, before.device) == (asked, _name(session.device))
        if before is not None and known and before.kernel in (*there, TORCH):
            found = before
        else:
            found = _measured(session, material, trainee, there)
    session.events.emit("attention", **found.as_dict())
    _note(session, found)
    print(found.sentence(), flush=True)
    return found.kernel


def _named(session: Session, asked: str, there: list[str]) -> Attention:
    """The kernel that was ``asked`` for where it is ``there``."""
    device = _name(session.device)
    if asked in there:
        return Attention(asked, asked, device)
    text = _("{device} has no attention of the kind {kernel} for {precision}: torch chooses.")
    session.warn(
        "attention.missing",
        text.format(device=device, kernel=asked, precision=session.config.memory.precision),
        _("Set memory.attention to fastest or torch."),
    )
    return Attention(asked, TORCH, device)


def _measured(session: Session, material: Material, trainee: Trainee, there: list[str]) -> Attention:
    """The quickest of the kernels that are ``there``; torch's own choice where none gets through a batch."""
    seconds: dict[str, float] = {}
    batch = _largest(material)
    if batch is not None:
        phase = session.phase("loading", _("measuring attention"))
        lasting = list(there)
        for number in range(1 + ROUNDS):
            phase(number, 1 + ROUNDS)
            for kernel in tuple(lasting):
                with attending(kernel):
                    found = _seconds(session, lambda: rehearse(session, material, trainee, batch))
                if found is None:
                    lasting.remove(kernel)
                    seconds.pop(kernel, None)
                elif number:
                    seconds[kernel] = min(found, seconds.get(kernel, found))
    quickest = min(seconds, key=seconds.__getitem__, default=TORCH)
    return Attention("fastest", quickest, _name(session.device), seconds)


def _largest(material: Material) -> Prepared | None:
    """The largest batch of the plan that has an image."""
    loader = material.loader()
    prepared = (loader.now(0, batch) for batch in batches_by_shape(material.data.plan))
    return next((batch for batch in prepared if batch.images), None)


def _seconds(session: Session, work: Callable[[], object]) -> float | None:
    """How long ``work`` takes on the device; none where memory runs out."""
    try:
        if session.device.type != "cuda":
            begun = time.perf_counter()
            work()
            return time.perf_counter() - begun
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        torch.cuda.synchronize(session.device)
        begin.record()
        work()
        end.record()
        torch.cuda.synchronize(session.device)
        return begin.elapsed_time(end) / 1000
    except Exception as error:
        if not is_shortage(error):
            raise
    give_back(session.device)  # only here, when the error and the frames that it holds are gone
    return None


def _note(session: Session, found: Attention | None) -> None:
    with contextlib.suppress(OSError):  # the event says it, too
        update_record(session.folder, **{ENTRY: found.as_dict() if found else None})


def _name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
