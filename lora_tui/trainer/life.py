"""One life of a run: device, ears and voice set up, the training in the middle, its end told."""

from __future__ import annotations

import logging
import threading

import diffusers
import torch
import transformers

from lora_tui.config.estimate import storage_of
from lora_tui.config.schema import Config
from lora_tui.errors import UserError
from lora_tui.families.devices import check_products, choose_devices, choose_dtype, launched_devices, use_threads
from lora_tui.jobs.control import ControlInbox
from lora_tui.jobs.events import EventWriter
from lora_tui.jobs.launcher import Launched
from lora_tui.runs.folder import RunFolder
from lora_tui.text import _, plain
from lora_tui.trackers import process as trackers
from lora_tui.trainer.control import Controls, StopRun
from lora_tui.trainer.failures import explain
from lora_tui.trainer.loop import Outcome
from lora_tui.trainer.reception import Reception
from lora_tui.trainer.record import record_result
from lora_tui.trainer.run import train
from lora_tui.trainer.session import Session
from lora_tui.trainer.state import states, step_of


def live(
    folder: RunFolder,
    config: Config,
    events: EventWriter,
    *,
    resume: bool,
    terminated: threading.Event | None = None,
    launched: Launched | None = None,
    begun: float | None = None,
) -> int:
    """Train and tell how it ended; return the exit status. ``terminated`` is set if a signal came before this.

    ``begun``: when the process started, unix seconds, where it does nothing else.
    ``launched``: this process among those that a launcher started, if one did; it is the first of them.

    Raises:
        UserError, OSError, RuntimeError: it failed.
    """
    quiet_libraries()
    processes = config.memory.processes
    threads = use_threads(config.memory.threads, launched.local_count if launched else processes)
    torch.manual_seed(config.steps.seed)
    _sweep(folder)
    wanted = config.memory.device
    devices = launched_devices(wanted, launched) if launched else choose_devices(wanted, processes)
    device = devices[0]
    if device.type == "cuda":
        torch.cuda.set_device(device)  # events, pinning and memory figures mean the current device
    controls = Controls(ControlInbox(folder.root), events, terminated)
    controls.listen_to_signals()
    dtype = choose_dtype(config.memory.precision, device)
    check_products(storage_of(config.memory), device)
    session = Session(folder, config, events, controls, device, dtype, devices, launched=launched, begun=begun)
    if config.memory.threads > threads:
        text = _("memory.threads is {wanted}, but there are {cores} cores; {cores} threads are used.")
        session.warn("threads", text.format(wanted=config.memory.threads, cores=threads))
    try:
        if launched is not None:
            session.reception = Reception(launched)
        trackers.start(folder)
        outcome = train(session, resume=resume)
    except StopRun as stop:
        outcome = _before(folder, stop)
    except Exception as error:
        if not folder.root.is_dir():  # whatever failed of that
            place = plain(str(folder.root))
            raise UserError(_("The run folder is gone."), place=place, code="gone") from error
        record_result(session, reason="failed", code=explain(error).code)
        raise
    finally:
        if session.reception is not None:
            session.reception.close()
        controls.close()
    path = outcome.path.relative_to(folder.root).as_posix() if outcome.path else ""
    record_result(session, reason=outcome.reason, step=outcome.step, path=path)
    if outcome.detail:
        session.warn("stopped_now", outcome.detail)
    events.emit("finished", reason=outcome.reason, step=outcome.step, path=path)
    return 0


def _before(folder: RunFolder, stop: StopRun) -> Outcome:
    """A stop before this life had learned anything: what the earlier lives left is what there is."""
    saved = states(folder.state_dir)
    files = sorted(folder.checkpoints_dir.glob("*.safetensors"), key=lambda path: path.stat().st_mtime_ns)
    return Outcome(
        "stopped_now" if stop.now else "stopped",
        step_of(saved[-1]) if saved else 0,
        files[-1] if files else None,
    )


def _sweep(folder: RunFolder) -> None:
    """Remove what a killed life was writing; this life holds the lock, so nobody else is."""
    for place in (folder.checkpoints_dir, folder.samples_dir):
        for path in place.glob(".*.tmp"):
            path.unlink(missing_ok=True)


def quiet_libraries() -> None:
    """The log of a run is for its own words and for real errors."""
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    diffusers.utils.logging.set_verbosity_error()
    diffusers.utils.logging.disable_progress_bar()
    logging.getLogger("httpx").setLevel(logging.ERROR)
