"""Asks where the images are from and what may be done with them: a few words on the dataset screen, two questions.

Nothing has to be answered. What is noted goes into the record of each run and into its LoRA files.
"""

from __future__ import annotations

import os
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from textual.screen import ModalScreen

from lora_tui.background import courteous
from lora_tui.errors import UserError
from lora_tui.text import _, plain
from lora_tui.tui.mishap import failure_words
from lora_tui.tui.threads import in_thread, start_job
from lora_tui.tui.widgets.dialog import AskText, Choice, Choose

if TYPE_CHECKING:
    from lora_tui.dataset.origin import Origin
    from lora_tui.tui.screens.dataset import DatasetScreen

T = TypeVar("T")

OTHER = "other"
"""The choice among the licences that leads to a line of one's own."""


class Asking:
    """The question of a screen; a few words at the end of the status line, as long as nobody was asked.

    Attributes:
        hint: these words; empty where there is nothing to ask.
    """

    def __init__(self, screen: DatasetScreen) -> None:
        self.screen = screen
        self.hint = ""

    def remind(self) -> None:
        """Say which key answers, where nobody was asked yet; called when the images have been read."""
        start_job(self.screen, self._remind, "remind")

    async def _remind(self) -> None:
        asked = all(origin.is_known or origin.asked for origin in await self._origins())
        key = self.screen.shell.keymap.shown("dataset.source")
        hint = "" if asked or not key else _("{key}: note their source").format(key=key)
        if hint != self.hint:
            self.hint = hint
            self.screen.say()

    async def _origins(self) -> tuple[Origin, ...]:
        from lora_tui.dataset.origin import origins_of

        images = self.screen.images
        if images is None:
            return ()
        everything = images.scan.images, images.scan.excluded
        # Gone through in the thread, and as texts: a hundred thousand paths are slow keys.
        folders = (os.path.dirname(image.path) for image in courteous(chain.from_iterable(everything)))  # noqa: PTH120
        return await in_thread(lambda: origins_of(map(Path, dict.fromkeys(folders))))

    def action_source(self) -> None:
        self.screen.guide(self._ask)

    async def _ask(self) -> None:
        origins = await self._origins()
        if not origins:
            return
        chosen: tuple[Origin, ...] | None = origins
        if len(origins) > 1:
            choices = [Choice(origins, _("all of them"))]
            choices += [
                Choice((one,), plain(one.folder.name, limit=40), plain(one.source, limit=40)) for one in origins
            ]
            title = _("Source and licence")
            chosen = await self._answer(Choose(title, choices, detail=_("Of which images?"), accept=_("continue")))
        if chosen is None:
            return
        source = await self._answer(
            AskText(
                _("Where are these images from?"),
                chosen[0].source,
                detail=self._detail(),
                placeholder=_("my own photographs, or the address of a page"),
                accept=_("continue"),
            )
        )
        if source is None:
            return
        licence = await self._licence(chosen[0].licence)
        if licence is not None:
            folders = [origin.folder for origin in chosen]
            self.screen.guide(partial(self._note, folders, source.strip(), licence.strip()), stops=False)

    async def _answer(self, dialog: ModalScreen[T]) -> T | None:
        """What a person answers; none where the question was left."""
        return await self.screen.app.push_screen_wait(dialog)

    def _detail(self) -> str:
        from lora_tui.dataset.origin import CARE, PERSON_PURPOSES

        project = self.screen.workspace.project
        parts = [_("It goes into the record of each run and into the LoRA files. Left empty, it is not asked again.")]
        if project is not None and project.purpose in PERSON_PURPOSES:
            parts.append(_(CARE))
        return "\n".join(parts)

    async def _licence(self, now: str) -> str | None:
        """What may be done with them; none when the question was left."""
        from lora_tui.dataset.origin import USUAL_LICENCES

        choices = [Choice("", _("not known, or not said"))]
        choices += [Choice(name, name, _(words)) for name, words in USUAL_LICENCES]
        if now and now not in dict(USUAL_LICENCES):
            choices.append(Choice(now, plain(now, limit=40)))
        choices.append(Choice(OTHER, _("another"), _("in your own words")))
        title = _("What may be done with them?")
        chosen = await self._answer(Choose(title, choices, current=now, accept=_("note it")))
        if chosen != OTHER:
            return chosen
        return await self._answer(AskText(title, now, accept=_("note it")))

    async def _note(self, homes: list[Path], source: str, licence: str) -> None:
        from lora_tui.dataset.origin import note_origin, take_back

        screen = self.screen
        before: list[Origin] = []

        def back() -> str:
            for origin in before:
                take_back(origin)
            return _("undone: {act}").format(act=_("source and licence"))

        def note() -> None:
            before.extend(note_origin(home, source, licence) for home in homes)

        try:
            await in_thread(note)
        except UserError as error:
            screen.tell(failure_words(screen.shell, error), "error")
            return
        finally:
            screen.acts.backs += [back] * bool(before)
            self.remind()
        said = ", ".join(plain(text, limit=40) for text in (source, licence) if text)
        if not said:
            screen.tell(_("Noted that it is not said; it is not asked again."), "success")
            return
        key = screen.shell.keymap.shown("dataset.undo")
        screen.tell(_("Noted: {source}").format(source=said) + "   " + _("{key} undo").format(key=key), "success")
