"""A tagging from its form to its captions: what is asked, the models at work, the tuning, one edit of captions.

The screen below says which images there are and writes what was decided; nothing here touches a caption.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from lora_tui.errors import UserError
from lora_tui.tagging.kept import Kept, load_kept
from lora_tui.tagging.known import remember, remembered
from lora_tui.tagging.request import Request, of_options
from lora_tui.tagging.run import Outcome, author_of, chosen_images
from lora_tui.tagging.tuner import Tuner
from lora_tui.text import _, count, ngettext, plain
from lora_tui.tui.mishap import failure_words
from lora_tui.tui.tagging_form import TaggingForm
from lora_tui.tui.tags.editor import Editor
from lora_tui.tui.threads import in_thread, start_job

if TYPE_CHECKING:
    from lora_tui.tasks.folder import TaskFolder
    from lora_tui.tui.screens.base import BaseScreen
    from lora_tui.tui.screens.tagging_tune import Decision

TOLD_SECONDS = 0.5
"""How often it is said how many answers were read."""

Parts = list[tuple[Editor, list[int]]]
"""Datasets with the numbers of the images that are meant."""


class Host(Protocol):
    """The screen below."""

    key: str
    """The action that begins a tagging."""

    def numbers(self) -> Mapping[str, int]:
        """How many images are marked, in the list where that is filtered, without a caption, and all."""

    def homes(self) -> Sequence[Path]:
        """The folders whose ``.lora-tui`` keeps the tasks of the datasets; called in a thread."""

    async def open(self) -> Sequence[Editor]:
        """The captions, in every dataset that the images are of.

        Raises:
            UserError: they cannot be read.
        """

    def chosen(self, which: str, editors: Sequence[Editor]) -> Parts:
        """The images of a choice; called in a thread."""

    def scope(self, which: str) -> str:
        """A choice for the journal."""

    async def write(self, kept: Kept, decision: Decision, author: str, scope: str) -> None:
        """Write captions, and say so."""

    def close(self) -> None:
        """The captions are needed no more."""


class TaggingFlow:
    """One tagging after the other, on one screen."""

    def __init__(self, screen: BaseScreen, host: Host) -> None:
        self.screen, self._host = screen, host
        self._scope = "all"

    def begin(self) -> None:
        start_job(self.screen, self._run, "tagging")

    async def _run(self) -> None:
        try:
            await self._go()
        except Exception as error:
            self.screen.tell(failure_words(self.screen.shell, error), "error")
        finally:
            self._host.close()

    async def _go(self) -> None:
        living = await in_thread(lambda: _living(self._host.homes()))
        asked = None
        if living is not None:
            asked = await in_thread(_asked_by, living, await self._opened())
        if living is not None and asked is not None:
            if await self._wait(living):
                await self._tune(*asked)
            return
        asked = await self._ask()
        if asked is not None:
            await self._answer(*asked)

    async def _opened(self) -> Sequence[Editor]:
        self.screen.tell(_("Reading captions."), "muted")
        editors = await self._host.open()
        self.screen.forget_told()
        return editors

    # -- the form

    async def _ask(self) -> tuple[Request, Parts] | None:
        from lora_tui.tui.screens.tagging_form import TaggingDialog

        work = self.screen.workspace
        request = await in_thread(remembered)
        trigger = (work.config.saving.trigger if work.config else "") or (work.project.trigger if work.project else "")
        request = replace(request, trigger="" if "," in trigger else trigger)
        numbers = self._host.numbers()
        usual = next((name for name in ("marked", "shown", "bare") if numbers.get(name)), "all")
        form = TaggingForm(request, numbers, usual)
        said, editors = "", None
        while True:
            answer = await self.screen.app.push_screen_wait(TaggingDialog(form, work.root, said))
            await in_thread(remember, form.request)
            if answer is None:
                return None
            request, which = answer
            editors = editors or await self._opened()
            parts = await in_thread(self._host.chosen, which, editors)
            if await in_thread(_several, parts, request):
                self._scope = self._host.scope(which)
                return request, parts
            said = _("Every image has a caption already: choose what becomes of it.")

    # -- the models

    async def _answer(self, request: Request, parts: Parts) -> None:
        """Look whether all is kept already; else ask the models."""
        if not request.again:
            try:
                kept = await self._load(request, parts)
            except UserError as error:
                if error.code != "tagger.elsewhere":
                    raise
            else:
                if not kept.lacking:
                    await self._tune(request, parts, kept)
                    return
        task = await in_thread(self._start, request, parts)
        if await self._wait(task):
            await self._tune(replace(request, again=False), parts)

    def _start(self, request: Request, parts: Parts) -> TaskFolder:
        from lora_tui.tasks.start import start_task

        some = [(editor, numbers) for editor, numbers in parts if numbers]
        told = [
            {
                "dataset": str(editor.corpus.root.absolute()),
                "images": [editor.entry(number).name for number in numbers],
            }
            for editor, numbers in some
        ]
        first = some[0][0]
        number = sum(len(numbers) for _editor, numbers in some)
        names = ", ".join(model.name.rpartition("/")[2] or model.kind for model in request.models)
        title = ngettext("{models}: {number} image", "{models}: {number} images", number)
        options: dict[str, Any] = {
            **told[0],
            "more": told[1:],
            "request": request.as_options(),
            "scope": self._scope,
            "only_ask": True,
            "extensions": list(first.corpus.extensions),
        }
        words = title.format(models=plain(names), number=count(number))
        about = [editor.corpus.root.absolute() for editor, _numbers in some]
        return start_task(first.session.home, "tag", words, options, about=about)

    async def _wait(self, task: TaskFolder) -> bool:
        """Show the models at work; whether what they said is to be looked at now."""
        from lora_tui.tui.screens.tagging_progress import AskingDialog

        if await self.screen.app.push_screen_wait(AskingDialog(task)):
            return True
        key = self.screen.shell.keymap.shown(self._host.key)
        self.screen.tell(_("The answers are kept as they come; {key} comes back to them.").format(key=key), "muted")
        return False

    # -- what they said

    async def _load(self, request: Request, parts: Parts) -> Kept:
        corpora = [(editor.corpus, numbers) for editor, numbers in parts if numbers]
        self.screen.tell(_("Reading what the models said."), "muted")
        app, said = self.screen.app, time.monotonic()

        def progress(done: int, total: int) -> None:
            nonlocal said
            if (now := time.monotonic()) - said >= TOLD_SECONDS:
                said = now
                app.call_later(self._told_of, done, total)

        try:
            return await in_thread(partial(load_kept, corpora, request, on_progress=progress))
        finally:
            self.screen.forget_told()

    def _told_of(self, done: int, total: int) -> None:
        text = _("Reading what the models said: {done} of {total}.").format(done=count(done), total=count(total))
        self.screen.tell(text, "muted")

    async def _tune(self, request: Request, parts: Parts, kept: Kept | None = None) -> None:
        from lora_tui.tui.screens.tagging_tune import TuneScreen

        kept = kept or await self._load(request, parts)
        if not kept.images:
            text = ngettext("No model answered to {count} image.", "No model answered to {count} images.", kept.lacking)
            self.screen.tell(text.format(count=count(kept.lacking)), "warning")
            return
        tuner = await in_thread(Tuner, kept, request) if kept.scored else None
        decision: Decision = await self.screen.app.push_screen_wait(TuneScreen(kept, tuner))
        await in_thread(remember, decision.request)
        if not decision.write:
            key = self.screen.shell.keymap.shown(self._host.key)
            words = _("Nothing was written; the answers are kept: {key} goes on.").format(key=key)
            self.screen.tell(words, "muted")
            return
        self.screen.tell(_("Writing captions."), "muted")
        await self._host.write(kept, decision, author_of(kept.models), self._scope)


def _several(parts: Parts, request: Request) -> int:
    """How many images are to be tagged."""
    return sum(len(chosen_images(editor.corpus, numbers, request, Outcome())) for editor, numbers in parts)


def _living(homes: Sequence[Path]) -> TaskFolder | None:
    """The tagging of one of these datasets that is at work, and was begun here."""
    from lora_tui.tasks.folder import tasks_of

    for home in dict.fromkeys(homes):
        for task in tasks_of(home)[:5]:
            try:
                asked = task.read()
            except UserError:
                continue
            if asked["kind"] == "tag" and asked["options"].get("only_ask") and task.alive():
                return task
    return None


def _asked_by(task: TaskFolder, editors: Sequence[Editor]) -> tuple[Request, Parts] | None:
    """What a task was asked for; none when it cannot be told, or is about other datasets."""
    options = task.read()["options"]
    wanted = {str(one.get("dataset")): one.get("images") for one in (options, *(options.get("more") or []))}
    parts: Parts = []
    for editor in editors:
        names = wanted.get(str(editor.corpus.root.absolute()), ())
        found = [editor.corpus.number_of(str(name)) for name in names or ()]
        parts.append((editor, [number for number in found if number is not None]))
    if not any(numbers for _editor, numbers in parts):
        return None
    return replace(of_options(options["request"]), again=False), parts
