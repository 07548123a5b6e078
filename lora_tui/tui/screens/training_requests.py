"""What the training screen asks of a run: requests with what became of them, stop, pause, resume."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_tui.errors import UserError
from lora_tui.jobs.control import request
from lora_tui.runs.folder import RunFolder
from lora_tui.runs.status import awaits_turn, inspect
from lora_tui.runs.story import RunStory
from lora_tui.text import _, count, ngettext, plain
from lora_tui.tui.run_moments import request_word, status_word
from lora_tui.tui.run_reading import full_lines
from lora_tui.tui.run_text import Seen
from lora_tui.tui.screens.parameters_actions import START
from lora_tui.tui.screens.resuming import Resuming
from lora_tui.tui.threads import in_thread, start_job
from lora_tui.tui.widgets.dialog import Confirm
from lora_tui.tui.widgets.text_view import TextView
from lora_tui.tui.wording import error_words

if TYPE_CHECKING:
    from lora_tui.tui.screens.training import TrainingScreen

_REQUESTS = {
    "training.stop": "stop",
    "training.stop-now": "stop_now",
    "training.save": "save",
    "training.sample": "sample",
    "training.sample-prompt": "sample",
    "training.change": "set",
    "training.measure": "measure",
    "training.validate": "validate",
    "training.pause": "pause",
}

_STOPS = frozenset({"training.stop", "training.stop-now"})


@dataclass(frozen=True)
class Asked:
    """A request that was made here: its kind, its file, and how many answers to it there were before."""

    kind: str
    path: Path
    before: int


class Requests:
    """The part of the training screen that acts on the run."""

    def __init__(self, screen: TrainingScreen) -> None:
        self._screen = screen
        self._resuming = Resuming(screen, lambda _run: screen.look_soon())
        self._asked: list[Asked] = []
        self._said: str | None = None

    def forget(self) -> None:
        """Another run is shown: what was asked of the one before is not followed any more."""
        self._asked = []

    # -- what cannot be done, and why

    def refusal(self, action_id: str) -> str:
        """Why something cannot be asked of the run now; empty when it can."""
        seen = self._screen.seen
        if action_id == "training.start":
            return "" if self._screen.workspace.config is not None else _("Reading the project.")
        if action_id == "training.newest" and self._screen.workspace.run is not None:
            return "" if self._screen.workspace.elsewhere is not None else _("This is the newest run.")
        if seen is None:
            return _("There is no run to watch yet.")
        if action_id in _REQUESTS and not seen.alive and not (action_id in _STOPS and _awaits(seen)):
            return _("It is not running.")
        if action_id == "training.resume":
            if seen.alive or _awaits(seen):
                return _("It is running.") if seen.alive else _("It begins by itself.")
            if seen.state == "finished":
                return _("The run is complete; network.start_from (F4) goes on from its LoRA.")
            if seen.status is None or not seen.status.can_resume:
                return _("This run cannot be resumed.")
        if action_id == "training.validate" and seen.story.info is not None and not seen.story.info.validation_images:
            return _("No images are held out for validation.")
        if action_id == "training.full" and self._screen.looking.in_view("images"):
            return "" if self._screen.image_losses.images else _("Not measured yet.")
        if action_id in ("training.sample", "training.full") and not self.has_prompts(seen):
            return _("The run has no sample prompts.")
        return ""

    @staticmethod
    def has_prompts(seen: Seen) -> bool:
        """Whether the run draws samples at all."""
        info = seen.story.info
        return bool(seen.story.samples) or info is None or info.prompts > 0

    # -- requests

    def ask(self, kind: str, **fields: Any) -> None:
        """Put a request into the run's control folder and follow what becomes of it; ``fields`` say more of it."""
        story = self._screen.story
        if story is None:
            return
        try:
            path = request(story.run.root, kind, **fields)
        except UserError as error:
            self._screen.tell(error_words(error), "error")
            return
        self._asked.append(Asked(kind, path, len(self._answers(kind))))
        self.show()

    def _answers(self, kind: str) -> list[tuple[str, str]]:
        """What the run has said to requests of a kind, oldest first, with why."""
        markers = self._screen.story.markers if self._screen.story else []
        found = [(marker.text.split(" "), marker.detail) for marker in markers if marker.kind == "control"]
        return [(words[-1], detail) for words, detail in found if words[0] == kind]

    def show(self) -> None:
        """Say how far each request is: asked, accepted, done."""
        seen = self._screen.seen
        alive = seen is not None and seen.alive
        waiting: list[str] = []
        told: list[tuple[str, str]] = []
        for asked in list(self._asked):
            told_why = self._answers(asked.kind)[asked.before :]
            answers, why = [answer for answer, _why in told_why], plain(told_why[-1][1]) if told_why else ""
            name = request_word(asked.kind)
            if alive and "done" not in answers and "rejected" not in answers:
                waiting.append(f"{name}: {_('asked -> accepted') if 'accepted' in answers else _('asked')}")
                continue
            self._asked.remove(asked)
            if "done" in answers or asked.kind in ("stop", "stop_now"):
                told.append((f"{name}: {status_word('done')}", "success"))
            else:
                told.append((f"{name}: {status_word('rejected')}" + (f": {why}" if why else ""), "warning"))
        resting = _("leaving this screen does not stop the run") if alive else ""
        said = "   ".join(waiting) or self._elsewhere() or resting
        if said != self._said:  # what was just told stays
            self._said = said
            self._screen.set_status(said)
        for text, tone in told:
            self._screen.tell(text, tone)

    def _elsewhere(self) -> str:
        """That another run is at work or newer, and the key that goes there; empty where there is none."""
        other = self._screen.workspace.elsewhere
        if other is None:
            return ""
        words = (
            _("run {number} is running: {key} shows it") if other.alive else _("run {number} is newer: {key} shows it")
        )
        return words.format(number=other.number, key=self._screen.shell.keymap.shown("training.newest"))

    def action_newest(self) -> None:
        other = self._screen.workspace.elsewhere
        if other is not None:
            self._screen.shell.open_run(other.run)

    def action_start(self) -> None:
        self._screen.shell.show_screen("parameters", START)

    def action_read(self) -> None:
        seen = self._screen.seen
        if seen is not None:
            title = plain(seen.story.run.name)
            key = self._screen.shell.keymap.shown("training.resume")
            self._screen.app.push_screen(TextView(title, full_lines(seen, key)))

    def action_stop(self) -> None:
        story, seen = self._screen.story, self._screen.seen
        if seen is not None and _awaits(seen):
            question = _("Take {run} out of Slurm?").format(run=plain(seen.story.run.name))
            detail = _("What it had saved stays; resume sends it again.")
            dialog = Confirm(question, detail, yes=_("take it out"))
            run = seen.story.run
            self._screen.app.push_screen(dialog, lambda sure: self._take_back(run, sure))
        elif story is not None:
            question = _("Stop {run} and save?").format(run=plain(story.run.name))
            key = self._screen.shell.keymap.shown("training.resume")
            detail = _("It writes a LoRA file and its state; {key} then goes on from the same step.").format(key=key)
            self._screen.app.push_screen(Confirm(question, detail, yes=_("stop+save")), self._stop)

    def _take_back(self, run: RunFolder, sure: bool | None) -> None:
        if sure:
            start_job(self._screen, partial(self._taken_back, run), "slurm")

    async def _taken_back(self, run: RunFolder) -> None:
        from lora_tui.jobs.slurm.send import take_back

        try:
            job = await in_thread(take_back, run.root)
        except UserError as error:
            self._screen.tell(error_words(error), "error")
            return
        self._screen.tell(
            _("Job {job} was taken out of Slurm; what the run had saved stays.").format(job=job), "success"
        )
        self._screen.shell.poll_runs()

    def _stop(self, sure: bool | None) -> None:
        if sure:
            self.ask("stop")

    def action_save(self) -> None:
        self.ask("save")

    def action_sample(self) -> None:
        self.ask("sample")

    def action_validate(self) -> None:
        self.ask("validate")

    def action_pause(self) -> None:
        seen = self._screen.seen
        if seen is not None:  # what is on screen may be older than a pause that was just asked for
            self.ask("resume" if inspect(seen.story.run).waits else "pause")

    def action_stop_now(self) -> None:
        story, seen = self._screen.story, self._screen.seen
        if story is None or (seen is not None and _awaits(seen)):
            self.action_stop()
            return
        detail = lost_words(story) + "\n" + _("Stop and save loses nothing.")
        question = _("Stop {run} now?").format(run=plain(story.run.name))
        self._screen.app.push_screen(Confirm(question, detail, yes=_("stop now")), self._stop_now)

    def _stop_now(self, sure: bool | None) -> None:
        if sure:
            self.ask("stop_now")

    def action_resume(self) -> None:
        story = self._screen.story
        if story is not None:
            state = story.states[-1].step if story.states else 0
            self._resuming.ask(story.run, state=state, step=story.step, total=story.total_steps)


def lost_words(story: RunStory) -> str:
    """What a stop that does not save gives up, as far as the story tells."""
    state = story.states[-1].step if story.states else 0
    lost = max(story.step - state, 0)
    if state:
        text = ngettext(
            "The last state is of step {state}; {lost} step after it is lost.",
            "The last state is of step {state}; {lost} steps after it are lost.",
            lost,
        )
    else:
        text = ngettext(
            "No state was written yet: {lost} step is lost.",
            "No state was written yet: all {lost} steps are lost.",
            lost,
        )
    return text.format(state=count(state), lost=count(lost))


def _awaits(seen: Seen) -> bool:
    """Whether the run waits for its turn on a cluster."""
    return seen.status is not None and awaits_turn(seen.status)
