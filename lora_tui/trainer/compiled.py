"""Blocks of the network compiled, each kind once for all blocks alike, while they learn.

Only passes with gradients are compiled: samples and validation compute as ever, so that no prompt and no strength is
waited for. Everything is compiled before the first update, by a pass forward and back for each shape of the plan, in an
order that depends on the plan alone: a life that takes the run up compiles the same for the same reasons, so that its
numbers are those of an unbroken one. Shapes are left open, so that most of them need no program of their own. Blocks
that visit the device in turn are left as they are.

What cannot be compiled computes as ever, too, with one warning: nothing of a run depends on a compiler.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch._dynamo import config as tracing
from torch._dynamo.utils import counters
from torch._inductor import config as writing
from torch.fx.experimental import _config as shapes
from torch.utils.checkpoint import checkpoint

from lora_tui.caches.inventory import compiled_folders
from lora_tui.config.rules.compiling import uncompiled
from lora_tui.dataset.batches import Batch
from lora_tui.families.quantized import try_products
from lora_tui.families.stored import streamed_in
from lora_tui.text import _, plain
from lora_tui.trainer.attention import TORCH, held
from lora_tui.trainer.data.loader import Loader
from lora_tui.trainer.data.prepared import Prepared
from lora_tui.trainer.material import Material
from lora_tui.trainer.memory.shortage import is_shortage
from lora_tui.trainer.record import record_quicker
from lora_tui.trainer.rehearsal import batches_by_shape, rehearse
from lora_tui.trainer.session import Session
from lora_tui.trainer.trainee import Trainee

KINDS = frozenset(("JointTransformerBlock",))
"""Repeated blocks of networks that diffusers names none of: Stable Diffusion 3's."""
LIMIT = 64
"""Programs for one kind of block: UNets have four widths of it, and one image in a batch is a case of its own."""


@dataclass
class Compiled:
    """What was compiled in this process, and whether it still is.

    Attributes:
        seconds: spent on it.
        reason: why it was given up; empty while it is not.
        changed: told when a program was made or it was given up.
    """

    seconds: float = 0.0
    reason: str = ""
    changed: Callable[[], object] = lambda: None
    _blocks: dict[nn.Module, _Block] = field(default_factory=dict)

    def take(self, network: Any, *, leave: Collection[nn.Module] = (), backend: Any = "inductor") -> int:
        """Compile the repeated blocks of ``network`` but those to ``leave``; how many are. It may be called again."""
        try_products(network)
        for block in blocks_of(network):
            if block in leave:
                own = self._blocks.pop(block, None)
                if own is not None:
                    del block.forward  # the class's own is behind it
            elif block not in self._blocks:
                self._blocks[block] = _Block(self, block.forward, backend)
                block.forward = self._blocks[block]  # type: ignore[assignment]
        return len(self._blocks)

    @property
    def programs(self) -> int:
        """How many programs were made: kinds of blocks times shapes that needed another."""
        return int(counters["stats"]["unique_graphs"])

    def give_up(self, error: BaseException) -> None:
        """Compute as ever from now on, because of ``error``."""
        self.reason = _reason(getattr(error, "inner_exception", None) or error)
        self.changed()


class _Block:
    """The forward pass of one block: compiled where gradients are wanted."""

    def __init__(self, whole: Compiled, plain: Callable[..., Any], backend: Any) -> None:
        self._whole, self._plain = whole, plain
        self._compiled = torch.compile(plain, backend=backend, dynamic=True)

    def __call__(self, *args: Any, **named: Any) -> Any:
        whole = self._whole
        if whole.reason or not torch.is_grad_enabled():
            return self._plain(*args, **named)
        before, begun = whole.programs, time.monotonic()
        try:
            found = self._compiled(*args, **named)
        except Exception as error:
            inner = getattr(error, "inner_exception", None) or error
            if is_shortage(inner):  # for the ladder, whoever wrapped it
                raise inner from None
            if type(error).__module__ == checkpoint.__module__:  # its way to end what is computed again
                raise
            found = self._plain(*args, **named)  # raises where it is no failure of the compiler
            whole.give_up(error)
            return found
        if whole.programs != before:
            whole.seconds += time.monotonic() - begun
            whole.changed()
        return found


def compile_blocks(session: Session, material: Material, trainee: Trainee, loader: Loader) -> None:
    """Compile the blocks that learn in ``session`` for all shapes of its plan, and tell of it.

    Raises:
        StopRun: a stop was asked for.
    """
    reason = uncompiled(session.config)
    if reason:
        _warn(session, reason, _("Set memory.compile to false."))
        return
    batches = batches_by_shape(material.data.plan)
    try:
        place = _kept_at(session, shapes_key(batches))
    except OSError as error:
        _warn(session, _reason(error), _("Make the folder of caches writable, or set memory.compile to false."))
        return
    try:
        prepare_compiler(place)
    except AttributeError as error:  # a torch that has not all of it
        _warn(session, _reason(error), _("Install what it names, or set memory.compile to false."))
        return
    compiled = Compiled()
    model = trainee.model
    network = model.adapted_modules(text_encoder=False)[model.facts.denoiser]

    def take(_policy: object = None) -> None:
        compiled.take(network, leave=streamed_in(network))

    def tell() -> None:
        if not session.ranks.is_first:
            return
        found = {"programs": compiled.programs, "shapes": len(batches), "seconds": round(compiled.seconds, 1)}
        session.events.emit("compiled", **found, reason=compiled.reason)
        record_quicker(session, "compiled", **found)
        if compiled.reason:
            _warn(session, compiled.reason, _("Install what it names, or set memory.compile to false."))
            return
        text = _("{programs} programs for {shapes} shapes of batches are compiled, which took {seconds} s.")
        print(text.format(**found), flush=True)

    take()
    session.ladder.changed.append(take)
    phase = session.phase("loading", _("compiling blocks"))
    for done, batch in enumerate(batches):
        phase(done, len(batches))
        if not compiled.reason and not _passed(compiled, session, material, trainee, loader.now(0, batch)):
            break
    compiled.changed = tell
    tell()


def _kept_at(session: Session, name: str) -> Path:
    """The folder of what is compiled under ``name``, which nobody removes while the training of ``session`` lasts."""
    store = compiled_folders()
    place = session.held.enter_context(store.in_use(name))
    if session.ranks.is_first:
        store.prune()
    return place


def _passed(compiled: Compiled, session: Session, material: Material, trainee: Trainee, batch: Prepared) -> bool:
    """Take a ``batch`` forward and back and forget it; false where memory ran out, which the first update meets again.

    Where the way back cannot be compiled, it is given up.
    """
    before, begun, forward = compiled.programs, time.monotonic(), compiled.seconds
    try:
        rehearse(session, material, trainee, batch)
    except Exception as error:
        if is_shortage(error):
            return False
        compiled.give_up(error)  # the first update meets whatever else it may be
    finally:
        if compiled.programs != before:
            compiled.seconds = forward + time.monotonic() - begun
    return True


def shapes_key(batches: list[Batch]) -> str:
    """A name for what is compiled for just these: what others compiled might be another program that serves as well."""
    told: list[object] = [(len(batch.items), batch.bucket.width, batch.bucket.height) for batch in batches]
    told += [held()] if held() != TORCH else []  # the compiler's cache does not ask which kernel a program was made for
    return hashlib.blake2b(repr(told).encode(), digest_size=8).hexdigest()


def prepare_compiler(place: Path) -> None:
    """Have what is compiled kept in the folder ``place`` from now on. Before anything is compiled.

    Random numbers are torch's own, and nothing is chosen by how quick it is here and now, or by what was used last.
    """
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(place)
    os.environ["TRITON_CACHE_DIR"] = str(place / "triton")
    writing.fallback_random = writing.deterministic = True
    torch._C._dynamo.eval_frame._set_lru_cache(False)  # of programs that serve alike, always the same one
    shapes.use_duck_shape = False  # numbers that are equal by chance stay two
    tracing.recompile_limit = max(tracing.recompile_limit, LIMIT)
    tracing.accumulated_recompile_limit = max(tracing.accumulated_recompile_limit, 4 * LIMIT)


def blocks_of(network: Any) -> Iterator[nn.Module]:
    """The blocks of ``network`` (of diffusers) that are compiled."""
    kinds = set(getattr(network, "_repeated_blocks", None) or KINDS)
    return (module for module in network.modules() if type(module).__name__ in kinds)


def _warn(session: Session, reason: str, remedy: str) -> None:
    if session.ranks.is_first:
        record_quicker(session, "compiled", reason=reason)
        text = _("blocks are not compiled, they compute as ever: {reason}").format(reason=plain(reason, limit=300))
        session.warn("compile.failed", text, remedy)


def _reason(error: BaseException) -> str:
    """The first line of what is said of ``error``."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0]}"[:300] if lines else type(error).__name__
