"""What every part of a run shares: its folder, settings, device, voice and ears."""

from __future__ import annotations

import contextlib
import time
import uuid
from dataclasses import dataclass, field

import psutil
import torch

from lora_tui.config.schema import Config
from lora_tui.jobs.events import EventWriter
from lora_tui.jobs.launcher import Launched
from lora_tui.runs.folder import RunFolder
from lora_tui.text import _
from lora_tui.trainer.clock import Clock
from lora_tui.trainer.control import Controls
from lora_tui.trainer.memory.ladder import Ladder
from lora_tui.trainer.ranks import Alone, Ranks
from lora_tui.trainer.reception import Reception

REPORT_SECONDS = 0.5  # a phase's progress is reported at most this often
LOOK_SECONDS = 0.1  # the memory of the process is asked for at most this often


@dataclass
class Session:
    """One life of one run.

    Attributes:
        device: of this process; ``devices`` are those of all processes of the run, the first one's first.
        dtype: of the base model and its arithmetic.
        ranks: the processes that share each update.
        launched: this process among those of a launcher, which come to the ``reception``; none where a run starts the
            others by itself.
        identity: a new UUID for each life, written into the files' metadata.
        started: unix seconds.
        begun: the same, of the process; none where it does other things, too.
        clock: what the time to the first step goes into.
        ladder: what is done when memory runs out.
        held: what is let go of when the training ends.
    """

    folder: RunFolder
    config: Config
    events: EventWriter
    controls: Controls
    device: torch.device
    dtype: torch.dtype
    devices: tuple[torch.device, ...] = ()
    ranks: Ranks = field(default_factory=Alone)
    launched: Launched | None = None
    reception: Reception | None = None
    identity: str = field(default_factory=lambda: str(uuid.uuid4()))
    started: float = field(default_factory=time.time)
    begun: float | None = None
    clock: Clock = field(init=False)
    ladder: Ladder = field(init=False)
    held: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    _process: psutil.Process = field(default_factory=psutil.Process)
    _looked: float = 0.0
    _resident: int = 0

    def __post_init__(self) -> None:
        self.ladder = Ladder(self.folder, self.config, self.events, self.device)
        self.clock = Clock(self.started if self.begun is None else self.begun, lambda: self.controls.away)

    def phase(self, name: str, detail: str = "") -> Phase:
        """Begin a phase and say so."""
        self.clock.enter(name)
        return Phase(self, name, detail)

    def warn(self, code: str, message: str, remedy: str = "") -> None:
        """Tell what a person should know; the run goes on."""
        self.events.emit("warning", code=code, message=message, remedy=remedy)
        print(_("warning:"), message, remedy, flush=True)

    def memory(self) -> dict[str, int | None]:
        """Bytes in use: by torch on a GPU, by the process on a CPU."""
        if self.device.type == "cuda":
            held = torch.cuda.memory_stats(self.device)  # asked once: it costs a tenth of a millisecond
            return {
                "memory_allocated": held.get("allocated_bytes.all.current", 0),
                "memory_reserved": held.get("reserved_bytes.all.current", 0),
            }
        if time.monotonic() - self._looked >= LOOK_SECONDS:
            self._looked, self._resident = time.monotonic(), self._process.memory_info().rss
        return {"memory_allocated": self._resident, "memory_reserved": None}


class Phase:
    """Progress of one phase. Calling it is also the safe point where the run may stop or wait."""

    def __init__(self, session: Session, name: str, detail: str) -> None:
        self._session = session
        self._name = name
        self._detail = detail
        self._reported = 0.0
        self(0, 0)

    def __call__(self, done: int, total: int, detail: str = "") -> None:
        """Report ``done`` of ``total`` (0 when unknown).

        Raises:
            StopRun: a stop was asked for.
        """
        now = time.monotonic()
        finished = total > 0 and done >= total
        if detail:
            self._detail = detail
        if finished or now - self._reported >= REPORT_SECONDS:
            self._reported = now
            self._session.events.emit("phase", phase=self._name, done=done, total=total, detail=self._detail)
        self._session.controls.safe_point()
