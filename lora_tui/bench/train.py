"""A training step of ours against a bare loop of torch, diffusers and peft on the same model, data and settings.

The bare loop is what one would write by hand: cached latents and text in memory, noise and timesteps from torch's
own generator, forward, squared error, backward, clip, fused AdamW. Ours is the trainer itself, loader, events and
guards included. Both run in turns in one process; their memory is measured in a process each.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lora_tui.bench.common import Measure, paired_ratios, ratio_measure, timed
from lora_tui.errors import UserError
from lora_tui.python import python_command
from lora_tui.text.translate import _

STEP_BAR = 1.05
MEMORY_BAR = 1.0
#: UNet widths of the model made for the measurement: large enough that a step is arithmetic, small enough for a CPU.
WIDTHS = {"micro": (32, 32, 64, 64), "small": (64, 128, 256, 256), "full": (320, 640, 1280, 1280)}


def build(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--size", choices=list(WIDTHS), default="small", help=_("widths of the random model"))
    parser.add_argument("--resolution", type=int, default=128, help=_("side of the images in pixels"))
    parser.add_argument("--batch-size", type=int, default=2, help=_("images a step"))
    parser.add_argument("--rank", type=int, default=16, help=_("rank of the LoRA"))
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32", help=_("arithmetic of the base"))
    parser.add_argument("--pairs", type=int, default=15, help=_("pairs of measurements"))
    parser.add_argument("--steps", type=int, default=4, help=_("steps in each measurement"))
    parser.add_argument("--peak", choices=["ours", "bare"], help=argparse.SUPPRESS)


def measure(args: argparse.Namespace) -> list[Measure]:
    """The figures, or (``--peak``) one loop's peak memory for the process that compares them.

    Raises:
        UserError: the libraries for training are not installed.
    """
    try:
        import torch
    except ImportError:
        raise UserError(
            _("torch is not installed."), remedy=_("pip install 'lora-tui[train]'"), code="missing.train"
        ) from None
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    with tempfile.TemporaryDirectory(prefix="lora-tui-bench-") as folder:
        os.environ["LORA_TUI_HOME"] = folder
        if args.peak:
            return [Measure(args.peak, _peak(args, Path(folder)), "bytes")]
        ours, bare = _ours(args, Path(folder)), _bare(args, Path(folder))
        for work in (ours, bare):
            work(3)
        ratios = paired_ratios(lambda: ours(args.steps), lambda: bare(args.steps), args.pairs)
        seconds = statistics.median(timed(lambda: ours(args.steps)) for _unused in range(3)) / args.steps
        place = torch.cuda.get_device_name() if torch.cuda.is_available() else _("CPU, {n} threads").format(
            n=torch.get_num_threads()
        )  # fmt: skip
    detail = _("{place}: {size} model, {side} px, batch {batch}, rank {rank}, {precision}").format(
        place=place, size=args.size, side=args.resolution, batch=args.batch_size, rank=args.rank,
        precision=args.precision,
    )  # fmt: skip
    peaks = {name: _peak_elsewhere(args, name) for name in ("ours", "bare")}
    return [
        ratio_measure(_("training step against a bare loop"), ratios, bar=STEP_BAR, detail=detail),
        Measure(_("training step"), seconds * 1000, "ms"),
        Measure(_("peak memory against a bare loop"), peaks["ours"] / peaks["bare"], "ratio", bar=MEMORY_BAR,
                detail=_("bytes of tensors: what is held plus the highest use within a step")),
        Measure(_("peak memory"), peaks["ours"], "bytes"),
    ]  # fmt: skip


# -- ours ------------------------------------------------------------------------------------------------------


def _ours(args: argparse.Namespace, folder: Path) -> Callable[[int], None]:
    """The trainer, stopped before its first step: calling it takes so many steps."""
    from lora_tui.config.load import dump_config
    from lora_tui.jobs.control import ControlInbox
    from lora_tui.jobs.events import EventWriter
    from lora_tui.runs.folder import RunFolder
    from lora_tui.trainer.control import Controls
    from lora_tui.trainer.loop import Loop
    from lora_tui.trainer.run import prepare
    from lora_tui.trainer.session import Session, choose_device, choose_dtype

    config = _config(args, folder)
    run = RunFolder.create(folder / "runs", "bench", dump_config(config), {})
    events = EventWriter(run.events_path)
    device = choose_device("auto")
    session = Session(
        run, config, events, Controls(ControlInbox(run.root), events), device, choose_dtype(args.precision, device)
    )
    material, trainee = prepare(session)
    loop = Loop(session, material, trainee)
    steps = loop.updates()

    def work(count: int) -> None:
        for _step in range(count):
            next(steps)
        _wait()

    work.trainee = trainee  # type: ignore[attr-defined]
    return work


def _config(args: argparse.Namespace, folder: Path) -> Any:
    from lora_tui.config.load import parse_config

    side = args.resolution
    values = {
        "model": {"base": str(_model(args, folder))},
        "datasets": [{"path": str(_images(folder, side))}],
        "data": {"resolution": side, "buckets": False},
        "network": {"rank": args.rank, "alpha": args.rank, "text_encoder": False},
        "learning": {"schedule": "constant"},
        "steps": {"epochs": 100_000, "batch_size": args.batch_size},
        "memory": {"precision": args.precision},
        "validation": {"mode": "off"},
        "saving": {"every_epochs": 0, "state_every_epochs": 0},
        "captions": {"max_tokens": 75},
    }
    return parse_config(values, base=None, place="bench")


def _images(folder: Path, side: int) -> Path:
    """Sixteen images of noise with a caption each."""
    from PIL import Image

    place = folder / "images"
    place.mkdir(exist_ok=True)
    for number in range(16):
        Image.effect_noise((side, side), 50 + number).convert("RGB").save(place / f"{number:02}.png")
        (place / f"{number:02}.txt").write_text("noise, grey", "utf-8")
    return place


def _model(args: argparse.Namespace, folder: Path) -> Path:
    from lora_tui.bench.model import write_model

    place = folder / "base"
    return place if place.exists() else write_model(place, seed=0, widths=WIDTHS[args.size])


# -- the bare loop -----------------------------------------------------------------------------------------------


def _bare(args: argparse.Namespace, folder: Path) -> Callable[[int], None]:
    """The loop that one would write by hand."""
    import torch
    from diffusers import DDPMScheduler, UNet2DConditionModel
    from peft import LoraConfig

    from lora_tui.families.sd15.facts import UNET_TARGETS

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dtype = torch.bfloat16 if args.precision == "bf16" else torch.float32
    torch.manual_seed(0)
    unet = UNet2DConditionModel.from_pretrained(_model(args, folder), subfolder="unet", torch_dtype=dtype).to(device)
    unet.requires_grad_(False)
    unet.add_adapter(LoraConfig(r=args.rank, lora_alpha=args.rank, target_modules=list(UNET_TARGETS)))
    trained = [p for p in unet.parameters() if p.requires_grad]
    for parameter in trained:
        parameter.data = parameter.data.float()
    optimizer = torch.optim.AdamW(trained, lr=1e-4, fused=True)
    scheduler = DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    side, width = args.resolution // 8, unet.config.cross_attention_dim
    latents = torch.randn(16, 4, side, side)
    text = torch.randn(16, 77, width).to(dtype)

    def work(count: int) -> None:
        for _step in range(count):
            chosen = torch.randint(0, 16, (args.batch_size,))
            clean, words = latents[chosen].to(device), text[chosen].to(device)
            noise = torch.randn_like(clean)
            timesteps = torch.randint(0, 1000, (args.batch_size,), device=device)
            noisy = scheduler.add_noise(clean, noise, timesteps).to(dtype)
            with torch.autocast(device.type, dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
                predicted = unet(noisy, timesteps, encoder_hidden_states=words, return_dict=False)[0]
            loss = torch.nn.functional.mse_loss(predicted.float(), noise)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trained, 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        _wait()

    work.module, work.optimizer = unet, optimizer  # type: ignore[attr-defined]
    return work


def _wait() -> None:
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()


# -- memory ------------------------------------------------------------------------------------------------------


def _peak_elsewhere(args: argparse.Namespace, which: str) -> float:
    options = [
        "--size", args.size, "--resolution", str(args.resolution), "--batch-size", str(args.batch_size),
        "--rank", str(args.rank), "--precision", args.precision, "--peak", which, "--json",
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

    work = _ours(args, folder) if args.peak == "ours" else _bare(args, folder)
    work(3)
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        work(3)
        return float(torch.cuda.max_memory_allocated())
    return _held(work) + _highest_use(lambda: work(2), folder)


def _held(work: Any) -> float:
    """Bytes of weights, adapter and optimizer states."""
    if hasattr(work, "trainee"):
        modules, optimizer = work.trainee.model.loaded(), work.trainee.stepper.optimizer
    else:
        modules, optimizer = [work.module], work.optimizer
    held = sum(tensor.nbytes for module in modules for tensor in (*module.parameters(), *module.buffers()))
    states = (value for state in optimizer.state.values() for value in state.values())
    return float(held + sum(value.nbytes for value in states))


def _highest_use(work: Callable[[], None], folder: Path) -> float:
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
