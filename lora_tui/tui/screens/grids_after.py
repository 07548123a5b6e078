"""One key after a training: its checkpoints at strengths from 0 to 1, drawn in the background, and shown as they come.

Part of the screens that show runs.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from lora_tui.errors import UserError
from lora_tui.grids.ask import Asked
from lora_tui.grids.begin import after_run
from lora_tui.grids.outlook import Outlook, outlook
from lora_tui.runs.folder import RunFolder
from lora_tui.text import _
from lora_tui.tui.threads import in_thread
from lora_tui.tui.wording import error_words

if TYPE_CHECKING:
    from lora_tui.tui.screens.base import BaseScreen


class AfterRun:
    """Makes the grid of the run that ``run`` gives, or goes on with the one that is there."""

    def __init__(self, screen: BaseScreen, run: Callable[[], RunFolder | None]) -> None:
        self._screen = screen
        self._run = run
        self._making = False

    def action_grid(self) -> None:
        run = self._run()
        if run is not None and not self._making:  # pressed twice it is made once
            self._making = True
            self._screen.guide(partial(self._make, run), stops=False)

    async def _make(self, run: RunFolder) -> None:
        self._screen.tell(_("looking at what it takes"))
        try:
            await self._begin(run)
        finally:
            self._making = False

    async def _begin(self, run: RunFolder) -> None:
        from lora_tui.tui.screens.grids_grow import agreed, made_and_begun

        shell = self._screen.shell
        try:
            found, drawn_now, seen = await in_thread(_looked, run)
            folder = found.folder
            if seen.pictures > seen.kept and not drawn_now:
                if not await agreed(self._screen, seen):
                    return
                folder, _task = await in_thread(made_and_begun, found)
        except UserError as error:
            self._screen.tell(error_words(error), "error")
            return
        assert folder is not None
        shell.poll_runs()
        shell.show_screen("grids", str(folder.root))
        if drawn_now:
            shell.call_later(shell.tell, _("It is being drawn already; press the key again for files that come later."))


def _looked(run: RunFolder) -> tuple[Asked, bool, Outlook]:
    found, drawn_now = after_run(run)
    return found, drawn_now, outlook(found)
