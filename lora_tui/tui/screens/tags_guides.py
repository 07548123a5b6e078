"""What guides in the tag editor: problems and their fixes, prune assistant, sweep, history, keys."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from lora_tui.captions.lint import Problem
from lora_tui.captions.prune import PURPOSES, prune_plan
from lora_tui.captions.query.saved import SavedFilter, check_filter_name, load_filters
from lora_tui.captions.transaction import Preview
from lora_tui.errors import UserError
from lora_tui.text import _, count, ngettext, plain
from lora_tui.tui.tags.editor import AT_ONCE, Stretch
from lora_tui.tui.tags.foretold import cutting_words
from lora_tui.tui.threads import in_thread
from lora_tui.tui.widgets.dialog import AskText, Choice, Choose
from lora_tui.tui.wording import error_words

if TYPE_CHECKING:
    from lora_tui.tui.screens.tags import TagsScreen
    from lora_tui.tui.tags.editor import Editor


class Guides:
    """Ways of several steps, each with a preview before anything changes."""

    def __init__(self, screen: TagsScreen) -> None:
        self.screen = screen

    @property
    def _editor(self) -> Editor:
        assert self.screen.editor is not None
        return self.screen.editor

    # -- problems

    def action_next_problem(self) -> None:
        self.screen.finding.go(1, self._editor.problems, _("No caption of the list has a problem."))

    def action_previous_problem(self) -> None:
        self.screen.finding.go(-1, self._editor.problems, _("No caption of the list has a problem."))

    def action_fix(self) -> None:
        """Show what mends the problems that this caption has now; nothing is cut away that a person did not name."""
        editor, number = self._editor, self.screen.panes.number
        if number < 0:
            return
        found = editor.problems(number)
        fixes = list(dict.fromkeys(problem.mend for problem in found if problem.mend))
        if not fixes:
            text = _("Nothing here can be fixed automatically.") if found else _("This caption has no problem.")
            cut = next((problem.fix for problem in found if problem.fix), "")
            self.screen.tell(cutting_words(cut) if cut else text, "muted")
            return
        stretch = Stretch((number,), editor.entry(number).name, f"image {editor.entry(number).name}")
        prepare = partial(editor.prepare, "; ".join(fixes), stretch)
        self.screen.edits.consider(prepare, stretch, ask=True, repeatable=False)

    def action_lint(self) -> None:
        self.screen.guide(self._lint)

    async def _lint(self) -> None:
        editor, shown = self._editor, self._editor.visible
        if len(shown) > AT_ONCE:
            self.screen.tell(_("Looking for problems."), "muted")
        problems = await in_thread(editor.asking.linter.all, shown)
        kinds: dict[str, list[Problem]] = {}
        for problem in problems:
            kinds.setdefault(problem.code, []).append(problem)
        if not kinds:
            self.screen.tell(_("No caption of the list has a problem."), "success")
            return
        choices = []
        for code, found in sorted(kinds.items(), key=lambda kind: -len(kind[1])):
            fixable = any(problem.mend for problem in found)
            remark = _("can be fixed") if fixable else _("only you can fix it")
            remark = f"{count(len(found)):>7}  {remark}  {plain(found[0].message, limit=60)}"
            choices.append(Choice(code, code, remark))
        title = ngettext("{count} problem", "{count} problems", len(problems)).format(count=count(len(problems)))
        detail = _("Enter shows what fixing would change; where only you can fix it, it shows those images.")
        detail = f"{detail} {self.screen.in_use.remark(one.number for one in problems)}".rstrip()
        chosen_code = await self.screen.app.push_screen_wait(
            Choose(title, choices, detail=detail, accept=_("fix or show"))
        )
        if chosen_code is None:
            return
        chosen = kinds[chosen_code]
        if not any(problem.mend for problem in chosen):
            self.screen.finding.filter_by(f"lint:{chosen_code}")
            return
        numbers = tuple(dict.fromkeys(problem.number for problem in chosen))
        stretch = Stretch(numbers, chosen_code, f"lint {chosen_code}")

        def prepare(should_stop: object = None) -> Preview:
            return editor.prepare_fixes(chosen, _("fix {code}").format(code=chosen_code), f"lint {chosen_code}")

        self.screen.edits.consider(prepare, stretch, ask=True, repeatable=False)

    # -- prune assistant

    def action_prune(self) -> None:
        self.screen.guide(self._prune)

    async def _prune(self) -> None:
        from lora_tui.project import PURPOSES as WORDS
        from lora_tui.tui.screens.tags_prune import PruneDialog

        editor, project = self._editor, self.screen.workspace.project
        purpose: str | None = project.purpose if project is not None else ""
        if purpose not in PURPOSES:
            choices = [Choice(name, _(WORDS[name][1]) if name in WORDS else name) for name in PURPOSES]
            purpose = await self.screen.app.push_screen_wait(Choose(_("What is the LoRA to learn?"), choices))
        if purpose is None:
            return
        numbers = frozenset(editor.visible)
        plan = await in_thread(
            partial(
                prune_plan,
                editor.corpus.index,
                purpose,
                trigger=editor.asking.trigger,
                numbers=numbers,
                total=len(numbers),
            )
        )
        chosen = await self.screen.app.push_screen_wait(PruneDialog(plan))
        if chosen and (operation := plan.operation(chosen)):
            self.screen.edits.run(operation, scope="shown", ask=True)
        elif chosen is not None:
            self.screen.tell(_("No tag was marked, so nothing changes."), "muted")

    # -- sweep

    def action_sweep(self) -> None:
        from lora_tui.tui.tags.offers import tag_offers
        from lora_tui.tui.tags.typed_tags import TypedTags

        def begin(text: str) -> None:
            if tag := text.strip().strip(","):
                self.screen.guide(partial(self._sweep, tag))

        completer = self._editor.asking.completer
        self.screen.finding.ask(
            _("sweep over the tag"),
            begin,
            kind="tags",
            value=self.screen.panes.tag,
            offers=tag_offers(completer, several=False),
            final=True,
            about=TypedTags(completer).remark,
        )

    async def _sweep(self, tag: str) -> None:
        from lora_tui.tui.screens.tags_sweep import Sweep

        editor = self._editor
        if not editor.visible:
            return
        start = max(self.screen.panes.pane("files").cursor, 0)
        changed = await self.screen.app.push_screen_wait(Sweep(editor, tag, start))
        if changed is None:
            return
        self.screen.panes.show_all()
        self.screen.panes.pane("files").cursor = changed.place
        text = ngettext("{tag}: {count} image changed", "{tag}: {count} images changed", changed.images)
        self.screen.tell(text.format(tag=plain(tag), count=count(changed.images)), "success")

    # -- the contact sheet

    def action_sheet(self) -> None:
        self.screen.guide(self._sheet)

    async def _sheet(self) -> None:
        from lora_tui.tui.screens.tags_sheet import Sheet

        editor, panes = self._editor, self.screen.panes
        numbers = sorted(editor.marks) if editor.marks else list(editor.visible)
        if not numbers:
            self.screen.tell(_("There is no image to show."), "muted")
            return
        tag = panes.tag if panes.focus in ("tags", "vocab") else ""
        number = await self.screen.app.push_screen_wait(Sheet(editor, numbers, panes.number, tag=tag))
        if number is not None and editor.place_of(number) < 0:
            editor.show("", None)
        panes.show_all(number)

    # -- what is chosen

    def action_saved(self) -> None:
        self.screen.guide(self._saved)

    async def _saved(self) -> None:
        try:
            filters = load_filters(self._editor.asking.folder)
        except UserError as error:
            self.screen.tell(error_words(error), "error")
            return
        now = self._editor.filter
        if not filters and not now:
            key = self.screen.shell.keymap.shown("tags.filter")
            text = _("No filter is kept yet: {key} filters, and then this keeps it under a name.")
            self.screen.tell(text.format(key=key), "muted")
            return
        choices = [Choice(name, plain(name), _remark(one)) for name, one in filters.items()]
        keep = Choice("", _("keep this filter as …"), plain(now, limit=60))
        name: str | None = ""
        if filters:
            all_choices = [keep, *choices] if now else choices
            name = await self.screen.app.push_screen_wait(Choose(_("Saved filters"), all_choices))
        if name:
            self.screen.finding.filter_by(f"in:@{name}")
        elif name is not None:
            await self._keep_filter(now)

    async def _keep_filter(self, text: str) -> None:
        title = _("Keep the filter {filter} as").format(filter=plain(text, limit=40))
        detail = _("A name without blanks; in:@name stands for the filter then, in other filters, too.")
        name = await self.screen.app.push_screen_wait(
            AskText(title, detail=detail, check=_name_flaw, accept=_("keep it"))
        )
        if name is not None:
            self.screen.commands.keep_filter(name)

    def action_folder(self) -> None:
        roots = self.screen.roots()
        choices = [Choice(root, plain(str(root))) for root in roots]

        def chosen(root: object) -> None:
            if root is not None and root != self.screen.opening.root:
                self.screen.opening.open_folder(root)  # type: ignore[arg-type]  # one of the choices

        self.screen.app.push_screen(Choose(_("Folder"), choices, current=self.screen.opening.root), chosen)

    def action_keymap(self) -> None:
        from lora_tui.tui.keymaps import KEYMAPS, USUAL

        shell = self.screen.shell
        now = shell.settings.keymap or USUAL
        choices = [Choice(name, name, _(words)) for name, (words, _table) in KEYMAPS.items()]

        def chosen(name: str | None) -> None:
            if name is not None and name != now:
                shell.keep(keymap=name)
                shell.take_keymap()

        shell.push_screen(Choose(_("Keymap"), choices, current=now), chosen)


def _name_flaw(name: str) -> str:
    """Why a filter cannot have this name; empty when it can."""
    try:
        check_filter_name(name)
    except UserError as error:
        return error.message
    return ""


def _remark(saved: SavedFilter) -> str:
    """What a saved filter is, beside its name."""
    if not saved.pinned:
        return plain(saved.query, limit=60)
    text = ngettext("pinned to {number} image", "pinned to {number} images", len(saved.images))
    return text.format(number=count(len(saved.images))) + "  " + plain(saved.query, limit=40)
