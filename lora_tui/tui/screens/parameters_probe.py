"""A probe of the form's run: two real steps and a sample in a process of their own, and what they took."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from lora_tui.config.schema import Config
from lora_tui.errors import UserError
from lora_tui.runs.neighbours import neighbour_lines
from lora_tui.runs.probe import Probe, probe, remember_probe
from lora_tui.runs.probe_words import phase_word, probe_lines
from lora_tui.text import _
from lora_tui.tui.threads import in_thread, start_job
from lora_tui.tui.widgets.dialog import Confirm
from lora_tui.tui.widgets.text_view import TextView
from lora_tui.tui.wording import error_words

if TYPE_CHECKING:
    from lora_tui.dataset.scan import Scan
    from lora_tui.tui.screens.parameters import ParametersScreen

SAY_SECONDS = 0.25
"""How often the status line says again what the probe is at."""


class FormProbe:
    """The part of the form's screen that tries the run; one probe at a time."""

    def __init__(self, screen: ParametersScreen) -> None:
        self._screen = screen
        self._stop: threading.Event | None = None
        self._phase = ""

    @property
    def said(self) -> str:
        """What the probe is at, for the status line; empty while there is none."""
        if self._stop is None:
            return ""
        if self._stop.is_set():
            return _("The probe is being stopped.")
        return _("Probe: {phase}. Esc stops it.").format(phase=self._phase or _("starting"))

    def refusal(self, action_id: str) -> str:
        """Why no probe can be made now; empty when one can."""
        if action_id != "parameters.probe":
            return ""
        if self._stop is not None:
            return _("A probe is running.")
        return "" if self._screen.workspace.plan is not None else _("The plan is not ready yet.")

    def stop(self) -> bool:
        """End the probe; false when there is none."""
        if self._stop is None or self._stop.is_set():
            return False
        self._stop.set()
        self._screen.say()
        return True

    def action_probe(self) -> None:
        screen = self._screen
        if not screen.editing.commit():
            return
        if any(found.severity == "error" for found in screen.form.findings or ()):
            screen.tell(_("Fix the errors first: nothing can be tried with them."), "warning")
            screen.action_next_problem()
            return
        start_job(screen, self._probe, "probe")

    async def _probe(self) -> None:
        screen, images = self._screen, self._screen.workspace.images
        config = screen.form.config.model_copy(deep=True)
        beside = await in_thread(neighbour_lines, config)
        detail = _(
            "It loads the base model, trains the largest size and draws the largest sample in a process of its own. "
            "What it measures replaces guesses of time and memory; nothing else stays."
        )
        dialog = Confirm(_("Try two steps and a sample now?"), "\n".join((detail, *beside)), yes=_("try"))
        if not await screen.shell.push_screen(dialog, wait_for_dismiss=True) or images is None:
            return
        self._stop, self._phase = threading.Event(), ""
        ticks = screen.set_interval(SAY_SECONDS, screen.say)
        try:
            work = partial(_tried, config, images.scan, screen.workspace.root, self._told, self._stop)
            found = await in_thread(work)
        except UserError as error:
            stopped = error.code == "probe.stopped"
            screen.shell.tell(
                _("The probe was stopped.") if stopped else error_words(error), "" if stopped else "error"
            )
            return
        finally:
            ticks.stop()
            self._stop = None
            screen.say()
        plan = screen.workspace.plan
        if plan is not None:
            lines = [line.strip() for line in probe_lines(found, plan)]
            screen.app.push_screen(TextView(_("What two steps and a sample took"), lines))
        screen.shell.replan()  # which knows now what a step takes

    def _told(self, phase: str) -> None:
        """In the probe's thread: another phase has begun."""
        self._phase = phase_word(phase)


def _tried(config: Config, scan: Scan, root: Path, told: Callable[[str], None], stop: threading.Event) -> Probe:
    """Try it, and keep what was measured for later plans of the project in ``root``."""
    from lora_tui.dataset.batches import make_plan

    found = probe(config, make_plan(config, scan, groups={}), told=told, should_stop=stop.is_set)
    remember_probe(root, config, found)
    return found
