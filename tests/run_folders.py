"""Real run folders for tests: written through the same doors that the trainer and the keeper use."""

from __future__ import annotations

import math
import random
from pathlib import Path

from lora_tui.jobs.events import EventWriter
from lora_tui.runs.folder import RunFolder

PROMPTS = ("hatgirl, smile, outdoors", "hatgirl, from behind, night city")


def loss_at(step: int) -> float:
    """A loss as diffusion training has it: noise around a falling mean; the same each time."""
    noise = random.Random(step).gauss(0, 0.02)
    return max(0.06 + 0.1 * math.exp(-step / 400) + noise, 0.005)


def new_run(runs_dir: Path, *, name: str = "hat-girl", config: str = "schema_version = 1\n") -> RunFolder:
    """A run folder in which nothing has happened."""
    return RunFolder.create(runs_dir, name, config, {"command": ["train"]})


def begin(
    run: RunFolder, *, total: int = 400, per_epoch: int = 50, prompts: int = 2, validation: int = 4
) -> EventWriter:
    """Say what a trainer says when it begins."""
    events = EventWriter(run.events_path)
    events.emit("attempt", number=1, pid=1, command=["trainer"])
    events.emit(
        "run",
        version="0.1.0",
        name=run.name,
        family="sd15",
        device="cpu",
        pid=1,
        prompts=prompts,
        total_steps=total,
        epochs=math.ceil(total / per_epoch),
        batches_per_epoch=per_epoch,
        steps_per_epoch=per_epoch,
        images=40,
        validation_images=validation,
    )
    return events


def step(events: EventWriter, number: int, *, per_epoch: int = 50, loss: float | None = None) -> None:
    """One training step."""
    events.emit(
        "step",
        step=number,
        epoch=(number - 1) // per_epoch + 1,
        loss=loss_at(number) if loss is None else loss,
        lr={"unet": 1e-4 * (1 - number / 5000), "text_encoder": 1e-5 * (1 - number / 5000)},
        grad_norm=0.4 + 0.1 * random.Random(-number).random(),
        step_seconds=0.4,
        data_wait=0.004,
        images_per_second=5.0,
        memory_allocated=7_000_000_000,
        memory_reserved=8_000_000_000,
    )


def resources(events: EventWriter, *, gpu: bool = True, **more: object) -> None:
    """A sample of the machine; ``more`` is told of its card."""
    card = {
        "index": 0,
        "name": "Test GPU",
        "utilization": 97,
        "memory_used": 7_000_000_000,
        "memory_total": 24_000_000_000,
        "temperature": 71,
        "power": 402.0,
        **more,
    }
    events.emit(
        "resources",
        gpus=[card] if gpu else [],
        cpu_percent=35.0,
        ram_used=9_000_000_000,
        ram_total=64_000_000_000,
        disk_free=91_000_000_000,
    )


def sample(run: RunFolder, events: EventWriter, number: int, *, per_epoch: int = 50, prompts: int = 2) -> None:
    """The sample images of one step, each a small picture of its own."""
    from PIL import Image, ImageDraw

    for prompt in range(prompts):
        shade = (number * 37 + prompt * 90) % 256
        image = Image.new("RGB", (64, 64), (shade, 120, 255 - shade))
        ImageDraw.Draw(image).ellipse((12, 12, 52, 52), fill=(255 - shade, shade, 90))
        path = run.samples_dir / f"{number:06d}-{prompt}.png"
        image.save(path)
        where = str(path.relative_to(run.root))
        epoch = math.ceil(number / per_epoch)
        events.emit("sample", step=number, epoch=epoch, prompt=prompt, path=where, text=PROMPTS[prompt % 2])


def checkpoint(run: RunFolder, events: EventWriter, number: int, *, per_epoch: int = 50) -> None:
    """A LoRA file and a resume state of one step."""
    epoch = math.ceil(number / per_epoch)
    path = run.checkpoints_dir / f"hat-girl-{number:06d}.safetensors"
    path.write_bytes(b"lora")
    events.emit("checkpoint", step=number, epoch=epoch, path=str(path.relative_to(run.root)), bytes=37_900_000)
    state = run.state_dir / f"{number:06d}"
    state.mkdir(exist_ok=True)
    events.emit("state", step=number, epoch=epoch, path=str(state.relative_to(run.root)))


def write_run(
    runs_dir: Path,
    *,
    steps: int = 174,
    total: int = 400,
    per_epoch: int = 50,
    prompts: int = 2,
    ending: str = "",
    name: str = "hat-girl",
) -> RunFolder:
    """A run with everything in it up to step ``steps``: samples, checkpoints and validation at each epoch's end.

    ``ending``: ``completed``, ``stopped``, ``died`` (by a signal) or ``failed``; empty leaves it open.
    """
    run = new_run(runs_dir, name=name)
    events = begin(run, total=total, per_epoch=per_epoch, prompts=prompts)
    if prompts:
        sample(run, events, 0, prompts=prompts)
    for number in range(1, steps + 1):
        step(events, number, per_epoch=per_epoch)
        if number % per_epoch == 0:
            epoch = number // per_epoch
            events.emit("validation", step=number, epoch=epoch, loss=0.09 + 0.03 * math.exp(-number / 100))
            checkpoint(run, events, number, per_epoch=per_epoch)
            if prompts:
                sample(run, events, number, per_epoch=per_epoch, prompts=prompts)
    resources(events)
    if ending in ("completed", "stopped"):
        events.emit("finished", reason=ending, step=steps, path="checkpoints/hat-girl-000150.safetensors")
    elif ending == "failed":
        message = "CUDA ran out of memory while training."
        events.emit("failed", code="cuda.oom", message=message, advice="Set memory.gradient_checkpointing to true.")
    elif ending == "died":
        message, advice = "The system killed it for want of memory (signal 9).", "Close other programs."
        events.emit("failed", code="oom.killed", message=message, advice=advice, by="keeper")
    events.close()
    run.log_path.write_text("loading the model\nready\n")
    return run
