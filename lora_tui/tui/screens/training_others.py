"""Other runs whose curves lie over those of the one that is watched: which, and their stories."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lora_tui.runs.folder import RunFolder
from lora_tui.runs.status import state_word
from lora_tui.runs.story import RunStory
from lora_tui.text import _, count, plain
from lora_tui.tui.curves import MOST_OTHERS, Other
from lora_tui.tui.threads import in_thread, start_job
from lora_tui.tui.widgets.dialog import Choice, Choose

if TYPE_CHECKING:
    from lora_tui.tui.screens.training import TrainingScreen

NONE = "none"

READ_SECONDS = 0.5
"""A story is read in pieces so long, so that leaving the program never waits for it."""


class OtherRuns:
    """The part of the training screen that lays curves over each other. They stay while another run is shown."""

    def __init__(self, screen: TrainingScreen) -> None:
        self._screen = screen
        self._found: list[Other] = []

    def beside(self, story: RunStory) -> list[Other]:
        """Those that lie over ``story``: a run does not lie over itself."""
        return [other for other in self._found if other.story.run != story.run]

    def action_others(self) -> None:
        """Choose a run to lay over, or one to take away."""
        story, runs = self._screen.story, self._screen.workspace.runs or ()
        if story is None:
            return
        shown = {other.story.run.root for other in self._found}
        choices: list[Choice[RunFolder | str]] = []
        for status in runs:
            if status.run.root == story.run.root:
                continue
            name = _("run {number}").format(number=status.number) if status.number else plain(status.run.name, limit=30)
            mark = self._screen.shell.marks.done if status.run.root in shown else " "
            words = f"{state_word(status.state)}, {count(status.step)}  {plain(status.run.name)}"
            choices.append(Choice(status.run, f"{mark} {name}", words))
        if shown:
            choices.append(Choice(NONE, _("none of them"), ""))
        if not choices:
            self._screen.tell(_("There is no other run here."), "warning")
            return
        detail = _("Their curves lie over those of this run, up to {most}.").format(most=MOST_OTHERS)
        dialog = Choose(_("Other runs"), choices, detail=detail, accept=_("lay over, take away"))
        self._screen.app.push_screen(dialog, self._chosen)

    def _chosen(self, run: RunFolder | str | None) -> None:
        if run is None:
            return
        left = [other for other in self._found if other.story.run != run and run != NONE]
        if isinstance(run, RunFolder) and len(left) == len(self._found):
            start_job(self._screen, lambda: self._read(run), f"other-run-{run.name}", alone=False)
        else:
            self._found = left
            self._show()

    async def _read(self, run: RunFolder) -> None:
        status = next((one for one in self._screen.workspace.runs or () if one.run == run), None)
        name = _("run {number}").format(number=status.number) if status is not None and status.number else run.name
        story = RunStory(run)
        while True:
            await in_thread(story.update, READ_SECONDS)
            if story.complete:
                break
        self._found = [*self._found, Other(name, story)][-MOST_OTHERS:]
        self._show()

    def _show(self) -> None:
        story = self._screen.story
        if story is not None:
            self._screen.lay_over(self.beside(story))
