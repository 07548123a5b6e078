"""What a process of a run does that is not the first: load what is trained, and share updates until it is ended."""

from __future__ import annotations

import contextlib
import threading
from typing import Any

import torch

from lora_tui.families.devices import use_threads
from lora_tui.jobs.control import ControlInbox
from lora_tui.jobs.events import EventWriter
from lora_tui.runs.folder import RunFolder
from lora_tui.trainer.attention import attending
from lora_tui.trainer.control import Controls
from lora_tui.trainer.handover import Handover
from lora_tui.trainer.life import quiet_libraries
from lora_tui.trainer.loop import Loop
from lora_tui.trainer.ranks import join
from lora_tui.trainer.run import open_base, stores
from lora_tui.trainer.session import Session
from lora_tui.trainer.trainee import build_trainee

WAITING = 30.0
"""Seconds that this waits for the first process to end it, when others of the run are gone."""


class Quiet(EventWriter):
    """Events of a run are the first process's; but of an image that only this one sees the damage of, it tells."""

    def emit(self, kind: str, **fields: Any) -> None:
        if kind == "warning" and fields.get("code") == "image.damaged":
            super().emit(kind, **fields)


class Led(Controls):
    """Ears of a process that hears only what the first one says, where they meet."""

    def safe_point(self) -> None:
        pass


def follow(handover: Handover, lifeline: threading.Thread) -> None:
    """Load what is trained, come together with the others, and share their updates until ``lifeline`` ends this.

    Raises:
        UserError, OSError, RuntimeError: it failed.
    """
    quiet_libraries()
    use_threads(handover.threads)
    torch.manual_seed(handover.config.steps.seed)
    if handover.device.type == "cuda":
        torch.cuda.set_device(handover.device)
    folder = RunFolder(handover.root)
    events = Quiet(folder.events_path)
    controls = Led(ControlInbox(folder.root), events)
    session = Session(folder, handover.config, events, controls, handover.device, handover.dtype)
    session.ladder.policy, session.ladder.tells = handover.policy, False

    def gone(error: RuntimeError) -> Exception:
        lifeline.join(WAITING)  # that another process is gone is for the first one to tell
        return error

    with contextlib.ExitStack() as held:
        for store in stores():
            held.enter_context(store.in_use())
        material = handover.provisions.material(session, open_base(session))
        trainee = build_trainee(session, material.model)
        session.ranks = join(handover.number, handover.count, handover.device, handover.place, gone)
        held.enter_context(attending(session.ranks.agree("")))
        Loop(session, material, trainee).follow()
        lifeline.join()
