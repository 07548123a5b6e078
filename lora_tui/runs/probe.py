"""A probe of a run before it starts: two real steps at its largest size and one sample, and what each phase took.

It is a run like any other, of a few links to images of the size that takes most, in a temporary folder; nothing of it
stays but what the caches keep of these images, which the run then finds there. Knows no torch.
"""

from __future__ import annotations

import contextlib
import math
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_tui.config.entries import settings_of
from lora_tui.config.schema import Config, DatasetEntry
from lora_tui.errors import UserError
from lora_tui.jobs.events import EventReader
from lora_tui.jobs.job import environment
from lora_tui.python import python_command
from lora_tui.runs.folder import RunFolder
from lora_tui.state import recall, remember
from lora_tui.text import _, plain

if TYPE_CHECKING:
    from lora_tui.dataset.batches import DataPlan, PlannedImage

STEPS = 2
IMAGES = 8
"""Links at most; they are shown again and again until two steps are full."""
MEMORY_FILE = "probes.json"
LOOK_SECONDS = 0.1
LEAVE_SECONDS = 20.0
LOG_LINES = 3


@dataclass(frozen=True)
class Probe:
    """What a probe measured.

    Attributes:
        peaks: phase (``loading``, ``caching``, ``training``, ``sampling``) to bytes at most: of tensors on a GPU, of
            the whole process on a CPU.
        reserved: bytes that torch held of a GPU at most, gaps counted; 0 on a CPU.
        step_seconds: of the second step; none where it was not reached.
        sample_seconds: of one image with its loading; none without a prompt.
        size: width and height that were trained, px; ``batch``: images at once.
    """

    peaks: dict[str, int]
    reserved: int = 0
    step_seconds: float | None = None
    sample_seconds: float | None = None
    size: tuple[int, int] = (0, 0)
    batch: int = 0

    @property
    def peak(self) -> int:
        """Bytes of the phase that took most."""
        return max(self.peaks.values(), default=0)

    def as_dict(self) -> dict[str, Any]:
        """As plain data for ``--json``."""
        return {**self.__dict__, "size": list(self.size), "peak": self.peak}


def probe(
    config: Config,
    data: DataPlan,
    *,
    told: Callable[[str], None] = lambda _phase: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Probe:
    """Run two steps of ``config`` at its largest size and draw its largest sample, in a process of their own.

    Args:
        data: the batches of the run.
        told: called with the name of each phase as it begins.
        should_stop: asked ten times a second; ends the probe.

    Raises:
        UserError: the run failed, with its own words and advice (memory that runs out among them), or was stopped.
    """
    with tempfile.TemporaryDirectory(prefix="lora-tui-probe-") as scratch:
        folder = Path(scratch)
        short, size = probe_config(config, data, folder / "images")
        from lora_tui.config.load import dump_config

        run = RunFolder.create(folder / "runs", "probe", dump_config(short), {})
        watch = _Watch(told)
        with _trainer(run) as process:
            reader = EventReader(run.events_path)
            while process.poll() is None:
                watch.take(reader.poll())
                if should_stop():
                    raise UserError(_("The probe was stopped."), code="probe.stopped")
                time.sleep(LOOK_SECONDS)
            while found := reader.poll():
                watch.take(found)
        if watch.failed is not None or process.returncode:
            raise _failure(watch, run)
        return watch.result(size, short.steps.batch_size)


def probe_config(config: Config, data: DataPlan, images: Path) -> tuple[Config, tuple[int, int]]:
    """The short run that stands for ``config``, on links made in the folder ``images``, and the size that it trains.

    The images are those of the size and batch that take most; what holds for their dataset holds in general.
    """
    bucket, batch_size, chosen = _largest(data)
    own = settings_of(config, chosen[0].image.dataset)
    levels = (own.data, *own.further)
    trained = levels[chosen[0].level] if chosen[0].level < len(levels) else own.data
    wanted = STEPS * batch_size * max(math.ceil(data.accumulation / config.memory.processes), 1)
    links = _link(chosen[: min(max(wanted, 1), IMAGES)], images)
    short = config.model_copy(deep=True)
    short.datasets = [DatasetEntry(path=str(images), repeats=max(math.ceil(wanted / links), 1))]
    short.data = trained.model_copy(update={"more_resolutions": []})
    short.captions = own.captions.model_copy(deep=True)
    steps, memory = short.steps, short.memory
    steps.batch_size, steps.max_steps = batch_size, STEPS
    steps.gradient_accumulation = max(math.ceil(data.accumulation / config.memory.processes), 1)
    memory.processes, memory.when_full = 1, "stop"
    short.validation.mode = "off"
    short.validation.keep_best = False
    saving, sampling = short.saving, short.sampling
    saving.name = "probe"
    saving.every_epochs = saving.every_steps = saving.state_every_epochs = saving.state_every_steps = 0
    sampling.at_start, sampling.every_epochs, sampling.every_steps = False, 0, STEPS
    short.samples = sorted(short.samples, key=lambda one: -one.width * one.height)[:1]
    return short, (bucket.width, bucket.height)


def remember_probe(root: Path, config: Config, found: Probe) -> None:
    """Keep what a probe measured for later plans of the project in ``root``."""
    from lora_tui.config.schema import as_plain

    said = {"t": round(time.time()), "config": as_plain(config), "probe": found.as_dict()}
    remember(MEMORY_FILE, root, lambda _before: said)


def remembered_probe(root: Path) -> tuple[Config, Probe, float] | None:
    """The last probe of the project in ``root``: of which configuration, what, and when in unix seconds."""
    from lora_tui.config.load import parse_config

    said: Any = recall(MEMORY_FILE).get(str(root))
    try:
        config = parse_config(said["config"])
        found = {name: said["probe"][name] for name in Probe.__dataclass_fields__}
        return config, Probe(**{**found, "size": tuple(found["size"])}), float(said["t"])
    except (UserError, TypeError, KeyError, ValueError):
        return None  # there is none, or one of another version


def _largest(data: DataPlan) -> tuple[Any, int, list[PlannedImage]]:
    """The size and the batch of the step that takes most, with its images: those without a cut by hand first."""
    (size, batch_size), _shown = max(
        data.showings.items(), key=lambda item: item[0][0].width * item[0][0].height * min(item[0][1], item[1])
    )
    chosen = [one for one in data.train if one.fit.bucket == size and data.entry(one).batch_size == batch_size]
    return size, batch_size, sorted(chosen, key=lambda one: one.image.crop is not None)


def _link(chosen: list[PlannedImage], folder: Path) -> int:
    """Link images and their captions; how many."""
    folder.mkdir(parents=True)
    for number, planned in enumerate(chosen):
        image = planned.image
        (folder / f"{number:04}{image.path.suffix}").symlink_to(image.path.resolve())
        if image.caption_path is not None:
            (folder / f"{number:04}{image.caption_path.suffix}").symlink_to(image.caption_path.resolve())
    return len(chosen)


@dataclass
class _Watch:
    """What the events of a probe say."""

    told: Callable[[str], None]
    phase: str = ""
    peaks: dict[str, int] = field(default_factory=dict)
    reserved: int = 0
    step_seconds: float | None = None
    sample_seconds: float | None = None
    failed: dict[str, Any] | None = None
    _sampling: float = 0.0

    def take(self, events: list[dict[str, Any]]) -> None:
        for event in events:
            kind = event.get("kind")
            if kind == "phase" and event.get("phase") != self.phase:
                self.phase = str(event.get("phase"))
                self._sampling = float(event["t"]) if self.phase == "sampling" else self._sampling
                self.told(self.phase)
            elif kind == "step":
                self.step_seconds = event.get("step_seconds")
            elif kind == "sample":
                self.sample_seconds = float(event["t"]) - self._sampling
            elif kind == "failed":
                self.failed = event
            elif kind == "peaks":
                self.peaks, self.reserved = dict(event["bytes"]), int(event["reserved"])

    def result(self, size: tuple[int, int], batch: int) -> Probe:
        return Probe(self.peaks, self.reserved, self.step_seconds, self.sample_seconds, size, batch)


@contextlib.contextmanager
def _trainer(run: RunFolder) -> Iterator[subprocess.Popen[bytes]]:
    """The trainer as a child of this process, ended with it."""
    with run.log_path.open("wb") as log:
        run.events_path.touch()
        process = subprocess.Popen(
            python_command("-m", "lora_tui.trainer.probe", str(run.root)),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment(),
            start_new_session=True,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(LEAVE_SECONDS)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


def _failure(watch: _Watch, run: RunFolder) -> UserError:
    """The trainer's own words, with the phase and what was used until then."""
    if watch.failed is not None:
        return UserError(
            _("The probe failed: {reason}").format(reason=plain(str(watch.failed.get("message")), limit=300)),
            place=watch.phase,
            remedy=plain(str(watch.failed.get("advice") or ""), limit=300),
            code=str(watch.failed.get("code") or "probe.failed"),
        )
    with contextlib.suppress(OSError):
        lines = run.log_path.read_text("utf-8", "replace").strip().splitlines()[-LOG_LINES:]
        reason = plain(" ".join(lines), limit=300)
        return UserError(_("The probe failed: {reason}").format(reason=reason), place=watch.phase, code="probe.failed")
    return UserError(_("The probe failed."), place=watch.phase, code="probe.failed")
