"""The trigger word in the tag editor: put in front of every caption, and made the project's own."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Literal

from lora_tui.captions.quoting import quoted
from lora_tui.captions.trigger import check_trigger
from lora_tui.errors import UserError
from lora_tui.text import _, plain
from lora_tui.tui.threads import in_thread, start_job
from lora_tui.tui.widgets.dialog import AskText, Choice, Choose
from lora_tui.tui.wording import error_words

if TYPE_CHECKING:
    from lora_tui.project import Project
    from lora_tui.tui.screens.tags import TagsScreen
    from lora_tui.tui.tags.editor import Editor


class TriggerWord:
    """Asking for the trigger word, checking it, putting it into captions and into the project."""

    def __init__(self, screen: TagsScreen) -> None:
        self.screen = screen

    @property
    def _editor(self) -> Editor:
        assert self.screen.editor is not None
        return self.screen.editor

    def action_trigger(self) -> None:
        self.screen.guide(self._trigger)

    async def _trigger(self) -> None:
        editor = self._editor
        asking = editor.asking
        asked = await self.screen.app.push_screen_wait(
            AskText(
                _("Trigger word"),
                asking.trigger,
                detail=_("It is put in front of every caption of the list, in this spelling."),
                accept=_("show what changes"),
            )
        )
        word = (asked or "").strip()
        if not word:
            return
        known = asking.lists if len(asking.lists) else None
        problems = check_trigger(
            word, editor.corpus.index, total=len(editor.corpus.entries), known=known, tokens=asking.tokens
        )
        if any(problem.severity == "error" for problem in problems):
            self.screen.tell(plain(problems[0].message), "error")
            return
        keep = await self._is_kept(word)
        if keep is None:
            return
        notes = [plain(problem.message) for problem in problems] if word != asking.trigger else []
        then = partial(start_job, self.screen, partial(self._keep, word), "trigger") if keep else None
        self.screen.edits.run(f"trigger {quoted(word)}", scope="shown", ask=bool(notes) or None, notes=notes, then=then)

    async def _is_kept(self, word: str) -> bool | None:
        """Whether the word becomes the project's; asked where it has another. None: nothing is to be done at all."""
        project = self.screen.workspace.project
        others = {project.trigger if project else "", self._editor.asking.trigger} - {"", word}
        if not others:
            return project is not None and word not in (project.trigger, "")
        old = plain(", ".join(sorted(others)), limit=60)
        choices: list[Choice[Literal["project", "captions"]]] = [
            Choice("project", _("the project's trigger word"), _("in the place of {word}").format(word=old)),
            Choice("captions", _("a word of these captions"), _("{word} stays the project's").format(word=old)),
        ]
        title = _("What is {word}?").format(word=plain(word, limit=40))
        chosen = await self.screen.app.push_screen_wait(Choose(title, choices))
        return None if chosen is None else chosen == "project"

    async def _keep(self, word: str) -> None:
        """Make the word the project's, in its file and in the configuration that is open."""
        work, project = self.screen.workspace, self.screen.workspace.project
        if project is None:
            return
        old = project.trigger
        self._editor.asking.take_trigger(word)
        try:
            await in_thread(_saved, project, word, work.saved)
        except UserError as error:
            self.screen.shell.notify_plain(error_words(error), "warning")
        config = work.config
        if config is not None and config.saving.trigger in ("", old):
            changed = config.model_copy(deep=True)
            changed.saving.trigger = word
            self.screen.shell.use_config(changed, changed=work.config_changed or work.config_path is not None)
        self.screen.shell.changed("project")
        self.screen.panes.refresh_tags()
        self.screen.shell.rescan()  # what it finds about captions depends on the word
        if work.saved:
            words = _("{word} is the trigger word of this project now, in {file}.")
            words = words.format(word=plain(word, limit=40), file=plain(project.file.name))
        else:
            words = _("{word} is the trigger word until the program ends; a project keeps it.")
            words = words.format(word=plain(word, limit=40))
        self.screen.shell.notify_plain(words)


def _saved(project: Project, word: str, saved: bool) -> None:
    if saved:
        project.take_trigger(word)
    else:
        project.trigger = word
