"""The app's own questions: which project, what holds for every project, whether to leave what is not saved."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from lora_tui.alarms.terminal import BELL, notification
from lora_tui.errors import UserError
from lora_tui.settings import Settings, save_settings, settings_file
from lora_tui.text import _, language, plain, set_language
from lora_tui.text.translate import LANGUAGES
from lora_tui.tui.acting import Acting
from lora_tui.tui.actions import APP, OVER, Action
from lora_tui.tui.graphics import open_graphics
from lora_tui.tui.threads import in_thread, start_job
from lora_tui.tui.widgets.dialog import AskPath, AskText, Choice, Choose, Confirm
from lora_tui.tui.wording import error_words

if TYPE_CHECKING:
    from lora_tui.tui.app import LoraTuiApp

LANGUAGE_NAMES = {"en": "English", "zh_CN": "简体中文"}


class Questions:
    """Mixin of the app: actions that ask before they act."""

    @property
    def _shell(self) -> LoraTuiApp:
        return cast("LoraTuiApp", self)

    # -- project

    def action_open_project(self) -> None:
        """Ask for a folder and open it."""
        start = self._shell.workspace.root.parent

        def opened(path: Path | None) -> None:
            if path is not None:
                self.open_other(path)

        self._shell.push_screen(
            AskPath(_("Open a project or a folder of images"), start, folders_only=True, accept=_("open")), opened
        )

    def open_other(self, directory: Path, then: Callable[[], None] = lambda: None) -> None:
        """Open another project and do ``then``; asks when that loses changes of the configuration here."""

        def go() -> None:
            self._shell.open_directory(directory)
            self._shell.show_screen("home")
            then()

        if self._shell.workspace.config_changed:
            self.ask_without_changes(_("Open the other project without them?"), _("open"), go)
        else:
            go()

    def ask_new_project(self) -> None:
        """Ask for folder, purpose and trigger word, then make the project."""
        start_job(self._shell, self._new_project, "ask")

    async def _new_project(self) -> None:
        from lora_tui.project import PURPOSES, Project

        shell = self._shell
        work = shell.workspace
        title = _("New project")
        start = work.root if not work.saved else work.root.parent
        folder = await shell.push_screen_wait(
            AskPath(
                title,
                start,
                detail=_("The folder: one with images in it, or a new one."),
                folders_only=True,
                must_exist=False,
                accept=_("continue"),
            )
        )
        if folder is None:
            return
        choices = [Choice(key, _(words)) for key, (_kind, words) in PURPOSES.items()]
        purpose = await shell.push_screen_wait(
            Choose(title, choices, detail=_("What is the LoRA to learn?"), accept=_("continue"))
        )
        if purpose is None:
            return
        trigger = await shell.push_screen_wait(
            AskText(
                title,
                detail=_("The trigger word that calls it up: a new word, such as hatgirl. May stay empty."),
                accept=_("make it"),
            )
        )
        if trigger is None:
            return

        def create() -> Project:
            return Project.create(folder, purpose=purpose, trigger=trigger)

        try:
            project = await in_thread(create)
        except UserError as error:
            shell.tell(error_words(error), "error")
            return
        made = _("Made {file}.").format(file=plain(str(project.file)))
        shell.tell(made, "success")
        self.open_other(project.root, lambda: shell.tell(made, "success"))

    # -- finding

    def action_palette(self) -> None:
        """Offer every action that applies here by its name."""
        from lora_tui.tui.screens.palette import Entry, Palette

        shell = self._shell
        screen = shell.screen
        here = screen.ACTS if isinstance(screen, Acting) else ""
        entries = []
        over = here in OVER  # what lies over a screen offers what it does, and no other screens
        for action in (*shell.keymap.actions.of(here), *(() if over else shell.keymap.actions.of(APP))):
            wanted = action.palette or (over and not _is_move(action) and action.method != "action_palette")
            if wanted and action.id != "app.palette":
                own = isinstance(screen, Acting) and action.context == here
                refusal = screen.refusal(action.id) if own and isinstance(screen, Acting) else ""
                key = shell.keymap.shown(action.id, ascii_only=shell.ascii_only)
                entries.append(Entry(action, key, refusal))
        # what can be done first; the rest says why not
        shell.push_screen(Palette(sorted(entries, key=lambda entry: bool(entry.refusal))), self._do)

    def action_keys(self) -> None:
        """Show all keys."""
        from lora_tui.tui.screens.help import HelpScreen

        shell = self._shell
        here = getattr(shell.screen, "ACTS", "")
        shell.push_screen(HelpScreen(shell.keymap, here, ascii_only=shell.ascii_only), self._do)

    def _do(self, action_id: str | None) -> None:
        if action_id is not None:
            self._shell.perform(action_id)

    # -- look and words

    def action_settings(self) -> None:
        """Choose one of the settings, with what each is now."""
        shell = self._shell
        now, on, off = shell.settings, _("on"), _("off")
        asked: dict[str, tuple[str, str, Callable[[], None]]] = {
            "theme": (_("theme"), shell.theme, self.action_choose_theme),
            "language": (
                _("language"),
                LANGUAGE_NAMES.get(now.language, _("as the system says")),
                self.action_choose_language,
            ),
            "images": (_("pictures"), now.images, self.action_choose_pictures),
            "bell": (_("bell"), on if now.bell else off, self._choose_bell),
            "desktop": (_("notifications"), now.desktop, self._choose_notifications),
            "slow": (_("slow link"), on if now.slow else off, self._choose_pace),
        }

        def chosen(name: str | None) -> None:
            if name is not None:
                asked[name][2]()

        choices = [Choice(name, title, value) for name, (title, value, _ask) in asked.items()]
        detail = plain(str(settings_file()))
        shell.push_screen(Choose(_("Settings for every project"), choices, detail=detail, label_width=20), chosen)

    def _choose_bell(self) -> None:
        title = _("Ring the terminal's bell for an alarm and at the end of a run?")
        self._choose_on_or_off(title, "bell", lambda on: self._shell.signal_terminal(BELL if on else ""))

    def _choose_pace(self) -> None:
        def told(_on: bool) -> None:
            self._shell.tell(_("It holds from the next start on."))

        self._choose_on_or_off(_("Repaint sparingly, at most 20 kB a second, for a slow link?"), "slow", told)

    def _choose_on_or_off(self, title: str, name: str, then: Callable[[bool], None]) -> None:
        def chosen(on: bool | None) -> None:
            if on is not None:
                self.keep(**{name: on})
                then(on)

        shell = self._shell
        choices = [Choice(True, _("on")), Choice(False, _("off"))]
        shell.push_screen(Choose(title, choices, current=bool(getattr(shell.settings, name))), chosen)

    def _choose_notifications(self) -> None:
        """Choose the escape that makes a desktop notification; one is sent at once, to see whether it comes."""
        shell = self._shell
        titles = {
            "auto": (_("as the environment says"), ""),
            "osc9": ("OSC 9", _("iTerm2, kitty, WezTerm, Ghostty, Windows Terminal")),
            "osc777": ("OSC 777", _("foot, rxvt-unicode, terminals on VTE")),
            "off": (_("off"), _("the bell and the screen tell it all the same")),
        }

        def chosen(style: str | None) -> None:
            if style is not None:
                self.keep(desktop=style)
                shell.signal_terminal(notification("lora-tui", _("So it looks."), style, os.environ))

        choices = [Choice(style, *words) for style, words in titles.items()]
        shell.push_screen(Choose(_("Desktop notifications"), choices, current=shell.settings.desktop), chosen)

    def action_choose_theme(self) -> None:
        """Choose a theme; each is shown as the cursor comes to it."""
        shell = self._shell
        before = shell.theme
        choices = [Choice(spec.name, _(spec.title)) for spec in shell.themes.values()]

        def preview(name: str) -> None:
            shell.theme = name

        def chosen(name: str | None) -> None:
            shell.theme = name or before
            if name is not None:
                self.keep(theme=name)

        shell.push_screen(Choose(_("Theme"), choices, current=before, on_move=preview), chosen)

    def action_choose_language(self) -> None:
        """Choose the language; the screens are made anew in it."""
        choices = [Choice("", _("as the system says")), *(Choice(code, LANGUAGE_NAMES[code]) for code in LANGUAGES)]

        def chosen(code: str | None) -> None:
            if code is not None:
                self.keep(language=code)
                before = language()
                if set_language(code) != before:
                    self._shell.make_screens_anew()

        shell = self._shell
        shell.push_screen(Choose(_("Language"), choices, current=shell.settings.language), chosen)

    def action_choose_pictures(self) -> None:
        """Choose how pictures are drawn; those on screen are drawn again at once."""
        shell = self._shell
        titles = {
            "auto": (_("as the terminal can"), _("pixels where it is known to draw them, else half cells")),
            "halfcell": (_("half cells"), _("two pixels a cell, in every terminal")),
            "kitty": (_("Kitty graphics"), _("pixels, in Kitty and Ghostty")),
            "sixel": (_("Sixel"), _("pixels, in WezTerm, foot, Konsole and others")),
            "ascii": (_("letters and signs"), _("in the colours of the picture")),
            "off": (_("off"), _("no pictures")),
        }

        def chosen(mode: str | None) -> None:
            if mode is not None:
                self.keep(images=mode)
                shell.use_graphics(open_graphics(mode, slow=shell.settings.slow))

        choices = [Choice(mode, *words) for mode, words in titles.items()]
        shell.push_screen(Choose(_("Pictures"), choices, current=shell.settings.images), chosen)

    def keep(self, **changes: Any) -> None:
        """Change settings now and in the file; a file that cannot be written is said and left alone."""
        shell = self._shell
        shell.settings = settings = replace(shell.settings, **changes)
        start_job(shell, partial(self._write, settings), "settings", alone=False)

    async def _write(self, settings: Settings) -> None:
        try:
            await in_thread(save_settings, settings)
        except UserError as error:
            self._shell.tell(error_words(error), "error")

    # -- leaving

    async def action_quit(self) -> None:
        """Leave; asks only when the configuration has changes that are in no file."""
        shell = self._shell
        if not shell.workspace.config_changed:
            shell.leave_quietly()
            return

        question = _("Leave without them? A running training goes on either way.")
        self.ask_without_changes(question, _("leave"), shell.leave_quietly)

    def action_rescan(self) -> None:
        """Read everything again; asks only when that loses changes of the configuration that are in no file."""
        shell = self._shell
        if shell.workspace.config_changed:
            self.ask_without_changes(_("Read everything again without them?"), _("read again"), shell.read_again)
        else:
            shell.read_again()

    def ask_without_changes(self, question: str, yes: str, act: Callable[[], None]) -> None:
        """Say that the configuration has changes that are in no file, and do ``act`` if that is wanted nevertheless."""
        shell = self._shell

        def answered(agreed: bool | None) -> None:
            if agreed:
                act()

        path = shell.workspace.config_path
        name = plain(path.name) if path else _("The new configuration")
        shell.push_screen(
            Confirm(_("{name} has changes that are not saved.").format(name=name), question, yes=yes), answered
        )


_MOVES = frozenset({"left", "right", "up", "down", "home", "end", "tab", "shift+tab"})


def _is_move(action: Action) -> bool:
    """Whether an action only moves something: nobody looks for that by its name."""
    return not action.keys or any(key in _MOVES for key in action.keys)
