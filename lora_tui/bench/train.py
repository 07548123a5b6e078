"""A training step of ours against a bare loop of torch, diffusers and peft on the same model, data and settings.

Both run in turns in one process, once with the text encoder frozen and once with it trained; their memory is measured
in a process each.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_tui.bench import around
from lora_tui.bench.alike import Apart, apart
from lora_tui.bench.common import (
    Measure,
    home_for_torch,
    paired,
    processor_measure,
    ratio_measure,
    tell,
    tell_pair,
    timed,
)
from lora_tui.bench.peer import compare_with, words_of
from lora_tui.bench.rate import PATCH, flux_flops, matrix_rate
from lora_tui.bench.train_bars import STEP, Bars, bars_for
from lora_tui.errors import UserError
from lora_tui.python import python_command
from lora_tui.text.translate import _

if TYPE_CHECKING:
    from lora_tui.bench.loops import Loop, Setup

MEMORY_BAR = 1.0
WARM_UP = 3  # steps before anything is measured
SIZES = ("micro", "small", "full")
UNETS = ("sd15", "sd2", "sdxl")
FAMILIES = (*UNETS, "sd3", "flux", "chroma", "flux2", "zimage", "qwen")
GIGABYTE = 1e9


def build(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--family", choices=FAMILIES, default="sd15", help=_("topology of the random model"))
    parser.add_argument("--size", choices=SIZES, default="small", help=_("widths of the random model"))
    parser.add_argument("--full", dest="size", action="store_const", const="full", help=_("the same as --size full"))
    parser.add_argument("--resolution", type=int, default=128, help=_("side of the images in pixels"))
    parser.add_argument("--batch-size", type=int, default=2, help=_("images a step"))
    parser.add_argument("--rank", type=int, default=16, help=_("rank of the LoRA"))
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32", help=_("arithmetic of the base"))
    parser.add_argument("--checkpointing", action="store_true", help=_("compute activations again, in both loops"))
    parser.add_argument("--base-weights", choices=["full", "fp8", "int8", "nf4"], default="full",
                        help=_("how our loop keeps the base; the bare one has it whole"))  # fmt: skip
    parser.add_argument("--products", choices=["full", "8bit"], default="full",
                        help=_("how our loop multiplies a base kept as int8 or fp8"))  # fmt: skip
    parser.add_argument(
        "--streamed",
        type=int,
        default=0,
        help=_("blocks of the base that our loop streams; all are computed again then"),
    )
    parser.add_argument("--compile", action="store_true", help=_("have our loop compile its blocks"))
    parser.add_argument("--graphs", action="store_true", help=_("have our loop play its steps as CUDA graphs"))
    parser.add_argument("--channels-last", action="store_true",
                        help=_("have our loop lay out the convolutions of its UNet channels-last"))  # fmt: skip
    parser.add_argument("--attention", choices=["torch", "fastest", "flash", "cudnn", "efficient", "math"],
                        default="torch", help=_("which kernel computes attention in our loop"))  # fmt: skip
    parser.add_argument("--alone", action="store_true", help=_("measure our step alone, where a bare loop has no room"))
    parser.add_argument("--brief", action="store_true",
                        help=_("only the step and its memory: no text encoder, no starts"))  # fmt: skip
    parser.add_argument("--peer", metavar="CMD", default="",
                        help=_("compare with this command; it may name {steps}, {model} and {images}"))  # fmt: skip
    parser.add_argument(
        "--memory-cap",
        "--cap",
        dest="cap",
        type=float,
        metavar="GB",
        default=0.0,
        help=_("gigabytes of the GPU that may be used; 0 for all"),
    )
    parser.add_argument("--pairs", type=int, default=15, help=_("pairs of measurements"))
    parser.add_argument("--steps", type=int, default=4, help=_("steps in each measurement"))
    parser.add_argument("--peak", choices=["ours", "bare"], help=argparse.SUPPRESS)
    parser.add_argument("--at", type=Path, help=argparse.SUPPRESS)  # where the model is made, of another process


def measure(args: argparse.Namespace) -> list[Measure]:
    """The figures, or (``--peak``) one loop's peak memory for the process that compares them.

    Raises:
        UserError: the libraries for training are not installed, what was asked for cannot be, or memory ran out.
    """
    if args.streamed:  # what is streamed has to be
        args.checkpointing = True
    if args.products != "full" and args.base_weights not in ("int8", "fp8"):
        raise UserError(
            _("only a base that is kept as int8 or fp8 is multiplied in 8 bits."),
            place="--products",
            remedy=_("Add --base-weights int8 or --base-weights fp8."),
            code="bench.products",
        )
    with contextlib.nullcontext(args.at) if args.at else home_for_torch() as folder:
        from lora_tui.trainer.memory.shortage import is_shortage

        _take_gpu(args.cap)
        try:
            return _measured(args, Path(folder))
        except Exception as error:
            if not is_shortage(error):
                raise
            raise UserError(
                _("memory ran out."),
                place="bench train",
                remedy=_("Take --checkpointing, or a smaller --batch-size or --resolution."),
                code="bench.memory",
            ) from None


def _measured(args: argparse.Namespace, folder: Path) -> list[Measure]:
    import torch

    from lora_tui.trainer.life import quiet_libraries

    quiet_libraries()
    if args.peak:
        return [Measure(args.peak, _peak(args, folder), "bytes")]
    place = gpu_name() or _("CPU, {n} threads").format(n=torch.get_num_threads())
    detail = _("{place}: {size} {family} model, {side} px, batch {batch}, rank {rank}, {precision}").format(
        place=place, size=args.size, family=args.family, side=args.resolution, batch=args.batch_size,
        rank=args.rank, precision=args.precision,
    )  # fmt: skip
    tell(detail)
    if args.peer:
        return _peer(args, folder, detail)
    if args.alone:
        return _alone(args, folder, detail)
    tell(_("the image model alone: loading and warming up"))
    frozen = compare(_setup(args, folder, text_encoder=False), args.pairs, args.steps)
    trained, started = None, []
    if args.family in UNETS and not args.brief:  # the bare loops for the others have no text encoder
        tell(_("with the text encoder: loading and warming up"))
        trained = compare(_setup(args, folder, text_encoder=True), args.pairs, args.steps)
    if not args.brief:
        tell(_("a start from nothing, in processes of their own"))
        started = around.starts(_setup(args, folder, text_encoder=False))
    tell(_("measuring memory, in processes of their own"))
    peaks = {name: _peak_elsewhere(args, name, folder) for name in ("ours", "bare")}
    return [
        *_times(frozen, trained, detail, bars_for(args, gpu_name())),
        *([frozen.apart.measure(args.precision)] if frozen.apart else []),
        *around.measures(frozen.saves, started, small=args.size != "full"),
        *_memory(peaks),
    ]


def _take_gpu(cap: float) -> None:
    """Have both loops compute on the GPU with most free memory, in ``cap`` gigabytes of it where that is not 0."""
    import torch

    from lora_tui.families.devices import choose_device

    device = choose_device("auto")
    if device.type != "cuda":
        return
    torch.cuda.set_device(device)
    if cap:
        torch.cuda.set_per_process_memory_fraction(min(cap * GIGABYTE / torch.cuda.mem_get_info()[1], 1.0))


def _times(frozen: Steps, trained: Steps | None, detail: str, bars: Bars) -> Iterator[Measure]:
    told = _(", ").join(filter(None, (detail, frozen.levers)))
    yield ratio_measure(_("training step against a bare loop"), frozen.ratios, bar=bars.step, detail=told)
    if frozen.processor:
        yield processor_measure(frozen.processor, bar=bars.processor)
    if trained is not None:
        narrow = _("a narrow one of two layers, whatever the size of the model")
        yield ratio_measure(_("the same with the text encoder trained"), trained.ratios, bar=STEP, detail=narrow)
    yield Measure(_("training step"), frozen.seconds * 1000, "ms")
    if trained is not None:
        yield Measure(_("training step with the text encoder trained"), trained.seconds * 1000, "ms")


def _memory(peaks: Mapping[str, float]) -> Iterator[Measure]:
    told = _("bytes of tensors: what is held plus the highest use within a step")
    name, ratio = _("peak memory against a bare loop"), peaks["ours"] / peaks["bare"]
    yield Measure(name, ratio, "ratio", bar=MEMORY_BAR, detail=told)
    yield Measure(_("peak memory"), peaks["ours"], "bytes")


@dataclass(frozen=True)
class Steps:
    """Ratios of the times of our steps to bare ones, and the seconds that one of ours takes.

    Attributes:
        levers: what became of those that ours was asked for, in words.
        apart: how far what both find of the same batch is apart, where that is known.
    """

    ratios: list[float]
    seconds: float
    processor: list[float] = field(default_factory=list)  # ratios of processor time; none on a GPU
    saves: list[tuple[float, float]] = field(default_factory=list)  # see :func:`lora_tui.bench.around.saving`
    levers: str = ""
    apart: Apart | None = None


def _setup(args: argparse.Namespace, folder: Path, *, text_encoder: bool) -> Setup:
    from lora_tui.bench.loops import Setup

    return Setup(
        args.family, args.size, args.resolution, args.batch_size, args.rank, args.precision, text_encoder, folder,
        args.checkpointing, args.base_weights, args.streamed, args.products, args.compile, args.graphs,
        args.channels_last, args.attention,
    )  # fmt: skip


def _alone(args: argparse.Namespace, folder: Path, detail: str) -> list[Measure]:
    """Our step by itself: its time, and the most memory that it took."""
    import torch

    from lora_tui.bench.loops import device_here, ours
    from lora_tui.trainer.memory.shortage import give_back

    tell(_("the image model alone: loading and warming up"))
    loop = ours(_setup(args, folder, text_encoder=False))
    loop.work(WARM_UP)
    before = reserved = 0
    if gpu_name():  # the passes that are recorded are not among those that play them
        before, reserved = torch.cuda.max_memory_allocated(), torch.cuda.max_memory_reserved()
        torch.cuda.reset_peak_memory_stats()
    times = []
    for pair in range(args.pairs):
        tell_pair(pair + 1, args.pairs)
        times.append(timed(lambda: loop.work(args.steps)) / args.steps)
    bars, middle = bars_for(args, gpu_name()), statistics.median(times)
    told = _(", ").join(filter(None, (detail, loop.levers())))
    measures = [Measure(_("training step"), middle * 1000, "ms", bar=bars.milliseconds, detail=told)]
    if gpu_name():
        free, total = torch.cuda.mem_get_info()
        given_back = max(reserved, torch.cuda.max_memory_reserved()) - torch.cuda.memory_reserved()
        measures += [
            Measure(_("peak memory"), max(float(before), gpu_peak()), "bytes"),
            Measure(
                _("memory in use by the driver"), float(total - free + given_back), "bytes", bar=bars.driver,
                detail=_("of all processes, at its highest"),
            ),
        ]  # fmt: skip
    if args.family == "flux":  # last: it takes memory itself
        give_back(device_here())
        measures += _share(args, middle, bars)
    return measures


def _peer(args: argparse.Namespace, folder: Path, detail: str) -> list[Measure]:
    """Our step against that of another program."""
    from lora_tui.bench.loops import ours

    setup = _setup(args, folder, text_encoder=False)
    known = {"model": str(setup.model()), "images": str(setup.images())}
    words = words_of(args.peer, known)
    loop = ours(setup)
    loop.work(WARM_UP)
    ratios, seconds = compare_with(words, loop.work, args.pairs, args.steps, folder, tell_pair)
    return [
        ratio_measure(_("training step against the other program"), ratios, bar=None, detail=detail),
        Measure(_("training step of the other program"), statistics.median(seconds) * 1000, "ms"),
    ]


def _share(args: argparse.Namespace, seconds: float, bars: Bars) -> Iterator[Measure]:
    """The rate that a step of FLUX.1 computes at, as a share of what the machine can at best."""
    import torch

    from lora_tui.bench.flow_loop import FAMILIES as BARE

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    shape, text = BARE["flux"].shape(args.size), BARE["flux"].count(args.size)
    tokens = (args.resolution // PATCH) ** 2 + text
    work = flux_flops(shape.heads * shape.head_width, shape.double + shape.single, tokens, again=args.checkpointing)
    best = matrix_rate(device, torch.bfloat16 if args.precision == "bf16" else torch.float32)
    told = _("{done} of {best} TFLOP/s").format(
        done=f"{work * args.batch_size / seconds / 1e12:.2f}", best=f"{best / 1e12:.2f}"
    )
    share = work * args.batch_size / seconds / best
    bar = bars.share
    yield Measure(_("share of the machine's matrix rate"), share, "share", bar, least=bar is not None, detail=told)


def compare(setup: Setup, pairs: int, steps: int) -> Steps:
    """Both loops in turns, ``steps`` at a time. They are gone at the end, so that the next ones have their memory."""
    from lora_tui.bench.loops import device_here
    from lora_tui.trainer.memory.shortage import give_back

    try:
        return _compared(setup, pairs, steps)
    finally:
        give_back(device_here())


def _compared(setup: Setup, pairs: int, steps: int) -> Steps:
    from lora_tui.bench.loops import bare, ours

    one, other = ours(setup), bare(setup)
    for loop in (one, other):
        loop.work(WARM_UP)
    found = paired(partial(one.work, steps), partial(other.work, steps), pairs)
    seconds = statistics.median(timed(lambda: one.work(steps)) for _unused in range(3)) / steps
    saves, off = around.saving(one), None
    if one.passes and other.repeat:
        batch = one.passes()
        off = apart(batch, other.repeat(batch))
    return Steps(found.ratios, seconds, [] if gpu_name() else found.processor, saves, one.levers(), off)


def gpu_name() -> str:
    """Of the GPU that both loops compute on; empty where they do so on the CPU."""
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else ""


# -- memory ------------------------------------------------------------------------------------------------------


def _peak_elsewhere(args: argparse.Namespace, which: str, folder: Path) -> float:
    options = [
        "--family", args.family, "--size", args.size, "--resolution", str(args.resolution),
        "--batch-size", str(args.batch_size), "--rank", str(args.rank), "--precision", args.precision,
        "--base-weights", args.base_weights, "--products", args.products,
        "--streamed", str(args.streamed), "--peak", which, "--json",
        "--attention", args.attention, "--memory-cap", str(args.cap), "--at", str(folder),
        *(f"--{name}" for name in ("checkpointing", "compile", "graphs", "channels-last")
          if getattr(args, name.replace("-", "_"))),
    ]  # fmt: skip
    command = python_command("-m", "lora_tui.bench", "train", *options)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = done.stderr.strip().splitlines()
        raise UserError(last[-1] if last else "", place="bench train --peak", code="bench.failed")
    return float(json.loads(done.stdout)["measures"][0]["value"])


def _peak(args: argparse.Namespace, folder: Path) -> float:
    """Bytes of tensors at the highest point of a step."""
    import torch

    from lora_tui.bench.loops import bare, ours

    loop = (ours if args.peak == "ours" else bare)(_setup(args, folder, text_encoder=False))
    loop.work(WARM_UP)
    if gpu_name():
        torch.cuda.reset_peak_memory_stats()
        loop.work(WARM_UP)
        return gpu_peak()
    return held_bytes(loop) + highest_use(lambda: loop.work(2), folder)


def gpu_peak() -> float:
    """Bytes of tensors on the GPU at their highest since torch was last told to forget, with :func:`kept_apart`."""
    import torch

    return float(torch.cuda.max_memory_allocated() + kept_apart(torch.cuda.memory_snapshot()))


def kept_apart(segments: Sequence[Mapping[str, Any]]) -> int:
    """What recorded passes keep for what they make: torch counts it as free, as nobody asks for it when they play."""
    own = [one for one in segments if tuple(one["segment_pool_id"]) != (0, 0)]
    return sum(int(one["total_size"]) - int(one["allocated_size"]) for one in own)


def held_bytes(loop: Loop) -> float:
    """Bytes of weights, adapter and optimizer states."""
    held = sum(tensor.nbytes for module in loop.modules for tensor in (*module.parameters(), *module.buffers()))
    states = (value for state in loop.optimizer.state.values() for value in state.values())
    return float(held + sum(value.nbytes for value in states))


def highest_use(work: Callable[[], None], folder: Path) -> float:
    """The highest sum of allocations made and not yet freed within ``work``, as torch's profiler saw them."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        work()
    trace = folder / "trace.json"
    profiler.export_chrome_trace(str(trace))
    events = [event for event in json.loads(trace.read_text("utf-8"))["traceEvents"] if event.get("name") == "[memory]"]
    now = highest = 0
    for event in sorted(events, key=lambda event: float(event["ts"])):
        now += int(event["args"]["Bytes"])
        highest = max(highest, now)
    return float(highest)
