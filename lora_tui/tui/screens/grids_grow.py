"""Values added to a grid that is there, typed in the words of the command; what they come to is said as they are typed.

Part of the screen of grids.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from lora_tui.errors import UserError
from lora_tui.grids.ask import Asked, Wanted, asked, made
from lora_tui.grids.begin import begin, check_begin
from lora_tui.grids.folder import GridFolder
from lora_tui.grids.outlook import Outlook, lines, outlook
from lora_tui.grids.suggest import Known, known_of, suggestions
from lora_tui.runs.folder import RunFolder
from lora_tui.tasks.folder import TaskFolder
from lora_tui.text import _, count, ngettext
from lora_tui.tui.tags.offers import Offer
from lora_tui.tui.threads import in_thread, start_job
from lora_tui.tui.widgets.dialog import Confirm
from lora_tui.tui.widgets.prompt import Prompt
from lora_tui.tui.wording import error_words

if TYPE_CHECKING:
    from lora_tui.tui.screens.base import BaseScreen
    from lora_tui.tui.screens.grids import GridsScreen

REST_SECONDS = 0.15
"""How long typing rests before it is worked out what the values come to."""


class Growing:
    """The line in which values are typed."""

    def __init__(self, screen: GridsScreen) -> None:
        self._screen = screen
        self._folder: GridFolder | None = None
        self._known = Known()

    def action_add(self) -> None:
        """Ask at once, for what is typed next is meant for the line; what can be completed is read meanwhile."""
        folder = self._screen.folder
        if folder is not None:
            self._folder, self._known = folder, Known()
            self._screen.query_one(Prompt).ask(_("add"), offers=offers_of(lambda: self._known))
            self._screen.refresh_keys()
            start_job(self._screen, partial(self._learn, folder), "grow")

    async def _learn(self, folder: GridFolder) -> None:
        known = await in_thread(_known_of_grid, folder)
        if self._folder == folder:
            self._known = known

    def leave(self) -> None:
        """Add nothing after all."""
        self._screen.query_one(Prompt).close()
        self._screen.show_view(self._screen.view)

    def typed(self, text: str) -> None:
        """Say what it comes to."""
        start_job(self._screen, partial(self._foretell, text), "foretell")

    async def _foretell(self, text: str) -> None:
        await asyncio.sleep(REST_SECONDS)
        folder = self._folder
        if folder is None or not text.partition("=")[2].strip():
            self._screen.query_one(Prompt).remark("")
            return
        try:
            _asked, seen = await in_thread(foretold, _grown(folder, text))
        except UserError as error:
            self._screen.query_one(Prompt).remark(error_words(error), "error")
            return
        self._screen.query_one(Prompt).remark(growth_words(seen))

    def done(self, text: str) -> None:
        """Enter: draw them, or say why not."""
        start_job(self._screen, partial(self._begin, text), "begin")

    async def _begin(self, text: str) -> None:
        prompt, folder = self._screen.query_one(Prompt), self._folder
        if folder is None or not text.strip():
            self.leave()
            return
        try:
            found, seen = await in_thread(foretold, _grown(folder, text))
        except UserError as error:
            prompt.remark(error_words(error), "error")
            prompt.deciding = False
            self._screen.shell.forget_keys()
            return
        self.leave()
        if await agreed(self._screen, seen):
            await draw(self._screen, found)


def _grown(folder: GridFolder, text: str) -> Wanted:
    return Wanted(str(folder.root), folder.root.parent.parent, axes=((_("add"), text),))


def _known_of_grid(folder: GridFolder) -> Known:
    try:
        grid = folder.read()
    except UserError:
        return Known()  # it is told when the line is done
    return known_of(RunFolder(Path(grid.run)) if grid.run else None, grid.folders, grid)


def offers_of(known: Callable[[], Known]) -> Callable[[str], list[Offer]]:
    """Completions for the line in which an axis is typed, from what is known then."""

    def offers(text: str) -> list[Offer]:
        return [Offer(one.text, one.label, one.remark) for one in suggestions(text, known())]

    return offers


def growth_words(seen: Outlook) -> str:
    """What values that are added take, in one line."""
    new = seen.pictures - seen.kept
    words = ngettext("{count} new picture", "{count} new pictures", new).format(count=count(new))
    return f"{words}   {lines(seen)[-1]}"


def foretold(wanted: Wanted) -> tuple[Asked, Outlook]:
    """The grid that is asked for, and what it takes. Raises UserError."""
    found = asked(wanted)
    return found, outlook(found)


async def agreed(screen: BaseScreen, seen: Outlook) -> bool:
    """Whether it is to be drawn: a large grid is asked about."""
    if not seen.large:
        return True
    answer = await screen.shell.push_screen(
        Confirm(_("Draw this large grid?"), seen.size_words(), yes=_("draw it")), wait_for_dismiss=True
    )
    return answer is True


def made_and_begun(found: Asked, name: str = "") -> tuple[GridFolder, TaskFolder]:
    """Make the grid's folder, or write into it what is asked for now, and draw it. Raises UserError."""
    check_begin(found.project)
    folder = made(found, name=name)
    return folder, begin(folder, name or found.grid.title, found.project)


async def draw(screen: GridsScreen, found: Asked) -> None:
    """Draw a grid and follow that."""
    try:
        folder, task = await in_thread(made_and_begun, found)
    except UserError as error:
        screen.tell(error_words(error), "error")
        return
    screen.shell.poll_runs()
    if screen.folder == folder:
        screen.follow(task)
    screen.grid.look()
