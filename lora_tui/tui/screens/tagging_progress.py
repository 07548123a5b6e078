"""Models at work over a screen: how far they are, pausing, stopping; or leaving them to it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from textual import on
from textual.app import ComposeResult

from lora_tui.errors import UserError
from lora_tui.text import _
from lora_tui.tui.acting import hints_of
from lora_tui.tui.actions import ASKING
from lora_tui.tui.threads import start_job
from lora_tui.tui.widgets.dialog import Dialog
from lora_tui.tui.widgets.footer import KeyHint, Keys
from lora_tui.tui.widgets.task_progress import TaskProgress
from lora_tui.tui.wording import error_words

if TYPE_CHECKING:
    from lora_tui.tasks.folder import TaskFolder
    from lora_tui.tasks.start import Asked


class AskingDialog(Dialog[bool]):
    """Dismissed with true once the answers are there, or what there is of them is wanted; with none when it is left."""

    ALSO = ASKING
    DEFAULT_CSS = """
    AskingDialog > #box { width: 84; }
    """

    def __init__(self, task: TaskFolder) -> None:
        super().__init__(
            _("The models are asked"),
            _("Captions are written afterwards, when you have seen what would be. Esc leaves the models running."),
        )
        self._folder = task
        self.accept_words = _("what is there so far")

    def compose_body(self) -> ComposeResult:
        yield TaskProgress(id="progress")

    def on_mount(self) -> None:
        super().on_mount()
        self._progress.follow(self._folder)

    @property
    def _progress(self) -> TaskProgress:
        return self.query_one(TaskProgress)

    def hints(self) -> list[KeyHint]:
        status = self._progress.status if self.is_mounted else None
        if status is not None and not status.alive:  # it rests, or is over
            return [*super().hints()[:1], *hints_of(self.app, ASKING)[:1], *super().hints()[1:]]
        leave = _("leave them running")
        found = [replace(one, title=leave) if one.action == "dialog.cancel" else one for one in super().hints()]
        found[1:1] = hints_of(self.app, ASKING)
        return found

    def _ask(self, what: Asked) -> None:
        start_job(self, partial(self._asked, what), "ask")

    async def _asked(self, what: Asked) -> None:
        try:
            await self._progress.ask(what)
        except UserError as error:
            tell = getattr(self.app, "tell", None)
            if tell is not None:
                tell(error_words(error), "error")

    def action_pause(self) -> None:
        if self._progress.can_pause:
            self._ask("pause")
        elif self._progress.can_resume:
            self._ask("resume")

    def action_stop(self) -> None:
        if self._progress.can_stop:
            self._ask("stop")

    def action_accept(self) -> None:
        self.dismiss(True)

    @on(TaskProgress.Changed)
    def _changed(self) -> None:
        self.query_one(Keys).show(self.hints())

    @on(TaskProgress.Ended)
    def _ended(self, event: TaskProgress.Ended) -> None:
        event.stop()
        if event.status.state == "finished" and not event.status.result.get("failed"):
            self.dismiss(True)
