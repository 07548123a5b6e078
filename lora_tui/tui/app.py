"""The app: screens on function keys over one workspace, themes, keys, and an orderly end.

Screens come from the table in ``screens``; what it does in the background is in ``work``; the terminal
itself is in ``terminal``.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from rich.text import Text
from textual._compositor import CompositorUpdate
from textual.app import App, ScreenStackError
from textual.css.query import NoMatches
from textual.screen import Screen
from textual.scrollbar import ScrollBar

from lora_tui.dataset.eyes import look_apart
from lora_tui.errors import UserError
from lora_tui.settings import Settings, usable_settings
from lora_tui.text import _, plain, set_language
from lora_tui.tui import terminal
from lora_tui.tui.acting import Acting
from lora_tui.tui.actions import APP
from lora_tui.tui.belonging import Belonging
from lora_tui.tui.cells import Cell
from lora_tui.tui.graphics import NO_GRAPHICS, Graphics, open_graphics
from lora_tui.tui.keymaps import keymap_for
from lora_tui.tui.marks import ASCII, UNICODE
from lora_tui.tui.no_color import obey_no_color
from lora_tui.tui.painting import Pace, Painting, Reduced
from lora_tui.tui.questions import Questions
from lora_tui.tui.road import header_run, road_cells
from lora_tui.tui.screens import SCREENS, ScreenEntry, all_actions, entry_of, load_screen
from lora_tui.tui.screens.base import BaseScreen
from lora_tui.tui.theme import DEFAULT_THEME, load_themes
from lora_tui.tui.threads import favour_the_loop, run_first, start_job
from lora_tui.tui.typeahead import TypeAhead
from lora_tui.tui.widgets.header import HeaderText
from lora_tui.tui.widgets.image_view import ImageView
from lora_tui.tui.widgets.picture_grid import PictureGrid
from lora_tui.tui.work import RUNS_SECONDS, Work
from lora_tui.tui.workspace import Change, Workspace

if TYPE_CHECKING:
    from lora_tui.runs.folder import RunFolder
    from lora_tui.runs.status import RunStatus

HANGUP_SECONDS = 1.0
"""How often the app looks whether its terminal is still there."""

WARNED_SECONDS = 15.0
"""How long a notice of what is wrong stays: it may be long, and come while the app still reads."""

SLOW_RATE = 20_000
"""Characters a second that are painted at most with the setting for a slow link."""

OWED_SECONDS = 0.05
"""How often a terminal that is behind is asked whether it has caught up."""


class LoraTuiApp(Acting, Questions, Work, Belonging, TypeAhead, App[int], inherit_bindings=False):
    """The app on one project."""

    ACTS = APP
    TITLE = "lora-tui"
    CSS_PATH = "app.tcss"
    ENABLE_COMMAND_PALETTE = False
    AUTO_FOCUS = "VirtualList"
    trainer_command: ClassVar[Sequence[str] | None] = None
    """Another program in the trainer's place, for trials without one."""

    def __init__(
        self,
        directory: Path,
        *,
        screen: str = "home",
        run: RunFolder | None = None,
        settings: Settings | None = None,
        ascii_only: bool = False,
        wrong_settings: Sequence[UserError] = (),
        graphics: Graphics = NO_GRAPHICS,
    ) -> None:
        """``run`` is what the training screen shows first; ``wrong_settings`` could not be used and are told."""
        # Textual reads the first mode while it makes itself
        self.DEFAULT_MODE = screen if entry_of(screen) else "home"  # type: ignore[misc]
        super().__init__()
        look_apart()  # all that this app does is asked of threads and tasks that are made from here
        obey_no_color(self)
        self.settings = settings if settings is not None else Settings()
        self.ascii_only = self.settings.ascii or ascii_only
        self.marks = ASCII if self.ascii_only else UNICODE
        self.keymap = keymap_for(all_actions(), self.settings)
        self.workspace = Workspace(directory, run=run)
        self.themes, self.theme_failures = load_themes()
        self._wrong_settings = tuple(wrong_settings)
        self.graphics = graphics
        self.painting = Painting()
        self._pace = Pace(SLOW_RATE if self.settings.slow else 0)
        self._frame_owed = False
        self._crashed = False
        #: What is said on the terminal when the app has ended.
        self.parting: list[str] = []
        self._place = ("", "")
        for entry in SCREENS:
            self.add_mode(entry.name, partial(_make, entry))
        for spec in self.themes.values():
            self.register_theme(spec.textual())
        self.theme = self._theme_to_use()
        self.set_class(self.ascii_only, "-ascii")

    # -- what screens use

    def show_screen(self, name: str, place: str = "") -> None:
        """Go to a screen of the table, and there to a thing of it (see :meth:`BaseScreen.go_to`).

        Where a job goes there whose own screen was left meanwhile, whoever left it stays where they are.
        """
        if entry_of(name) is not None and not self.was_left():
            self._place = (name, place)
            while len(self.screen_stack) > 1:
                self.pop_screen()
            self.switch_mode(name)

    def take_place(self, name: str) -> str:
        """Where on the screen ``name`` the person wants to be; asked for once."""
        wanted, place = self._place
        if wanted != name:
            return ""
        self._place = ("", "")
        return place

    def open_run(self, run: RunFolder) -> None:
        """Show a run on the training screen."""
        self.use_run(run)
        self.show_screen("training")

    def tell(self, text: str, tone: str = "") -> None:
        """Say on the status line what just happened."""
        for screen in reversed(self.screen_stack):
            if isinstance(screen, BaseScreen):
                screen.tell(text, tone)
                return

    def notify_plain(self, text: str, severity: Any = "information") -> None:
        """A notice over the screen, for what happened in the background; markup in it is shown, not obeyed."""
        timeout = None if severity == "information" else WARNED_SECONDS
        self.notify(plain(text, newlines=True), severity=severity, timeout=timeout, markup=False)

    def signal_terminal(self, escape: str) -> None:
        """Write a bell or an escape that moves nothing to the terminal."""
        if escape and self._driver is not None and not self.is_headless:
            self._driver.write(escape)

    def copy_out(self, text: str) -> None:
        """Put a text into the clipboard of the terminal, and here for widgets that paste."""
        self._clipboard = text
        self.signal_terminal(terminal.clipboard_escape(text, os.environ))

    def tell_last(self, text: str) -> None:
        """Say what went wrong with something that is over: as a notice, and once the app has ended on the terminal."""
        if self._exit:
            self.parting.append(text)
        else:
            self.notify_plain(text, "error")

    def changed(self, *changes: Change) -> None:
        """Tell every screen what changed in the workspace; hidden ones take it in when they are shown."""
        told = frozenset(changes)
        text = self.header_text()
        for stack in self._screen_stacks.values():
            for screen in stack:
                if isinstance(screen, BaseScreen):
                    screen.show_header(text)
                    screen.take_change(told)

    def perform(self, action_id: str) -> None:
        """Do an action by its id: the palette, the help and a click on the footer come through here."""
        action = self.keymap.actions[action_id]
        node: Any = self if action.context == APP else self.screen
        if action.context not in (APP, getattr(self.screen, "ACTS", "")):
            return
        self.call_later(node.action_act, action_id)

    def header_text(self) -> HeaderText:
        """What the top line says."""
        work = self.workspace
        purpose = work.project.purpose_title if work.project else ""
        title = [Cell(work.title, "strong")]
        if purpose:
            title.append(Cell(f" {self.marks.dot} {plain(purpose)}", "muted"))
        here = str(self.current_mode)
        shown = partial(self.keymap.shown, ascii_only=self.ascii_only)
        road = () if here == "home" else road_cells(work, self.marks, here, shown)
        living = work.living
        if here == "training" and living is not None and work.run in (None, living.run):
            living = None  # that screen says it all, and newer
        return HeaderText(tuple(title), road, self._header_work(here, living))

    def _header_work(self, here: str, living: RunStatus | None) -> tuple[tuple[Cell, ...], ...]:
        """The living run, else the living task; the task first where images and captions are seen."""
        working = self.workspace.working
        if working is None or (living is not None and here not in ("dataset", "tags")):
            return header_run(living, self.marks)
        from lora_tui.tui.task_text import header_task

        return header_task(working, self.marks)

    def show_tasks(self) -> None:
        """The tasks in the background, over any screen."""
        from lora_tui.tui.screens.task_list import TaskList

        if not isinstance(self.screen, TaskList):
            self.push_screen(TaskList())

    @property
    def behind(self) -> bool:
        """Whether the terminal has not yet taken the last frames; then drawing can wait."""
        return terminal.frames_waiting(self) > terminal.BEHIND_FRAMES

    @property
    def can_change_config(self) -> bool:
        """Whether another configuration can take the place of the one that is open: nobody is typing or asked."""
        screen = self.screen if len(self.screen_stack) == 1 else None
        return isinstance(screen, BaseScreen) and not screen.holds_config

    def take_keymap(self) -> None:
        """Use the keymap of the settings from now on, everywhere."""
        self.keymap = keymap_for(all_actions(), self.settings)
        self.take_keys()
        for stack in self._screen_stacks.values():
            for node in [node for screen in stack for node in screen.walk_children(with_self=True)]:
                if isinstance(node, Acting):
                    node.take_keys()
        if isinstance(self.screen, BaseScreen):
            self.screen.refresh_keys()

    def use_graphics(self, graphics: Graphics) -> None:
        """Draw pictures in this way from now on, those on screen at once; say why where what was asked cannot be."""
        self.graphics = graphics
        for stack in self._screen_stacks.values():
            for view in [view for screen in stack for view in screen.query(ImageView)]:
                view.draw_again()
            for grid in [grid for screen in stack for grid in screen.query(PictureGrid)]:
                grid.reload()
        if graphics.problem:
            self.notify_plain(graphics.problem, "warning")

    def make_screens_anew(self) -> None:
        """Throw the screens away and make them again: every word is in another language now."""
        start_job(self, self._make_screens_anew, "screens")

    async def _make_screens_anew(self) -> None:
        here = str(self.current_mode)
        while len(self.screen_stack) > 1:
            await self.pop_screen()
        holder = "anew"
        self.add_mode(holder, Screen)
        await self.switch_mode(holder)
        for entry in SCREENS:
            await self.remove_mode(entry.name)
            self.add_mode(entry.name, partial(_make, entry))
        await self.switch_mode(here)
        await self.remove_mode(holder)
        self.take_keys()
        # checks and plans hold sentences of the old language
        self.rescan()

    # -- painting

    def _display(self, screen: Screen[Any], renderable: Any) -> None:
        """Textual's hook that writes a frame: only what changed, and nothing while the terminal is behind.

        What a frame that is left out would have shown is painted once the terminal has caught up.
        """
        if not isinstance(renderable, CompositorUpdate):
            super()._display(screen, renderable)
            return
        wait = OWED_SECONDS if self.behind else self._pace.wait(time.monotonic())
        if wait and not self.is_headless:
            if not self._frame_owed:
                self._frame_owed = True
                self.set_timer(max(wait, OWED_SECONDS), self._pay_frame)
            return
        reduced: Any = Reduced(self.painting, renderable)
        super()._display(screen, reduced)
        self._pace.written(reduced.size, time.monotonic())

    def _pay_frame(self) -> None:
        """Paint what was left out."""
        self._frame_owed = False
        if self.screen_stack:  # none any more while the app is being left
            self.screen.refresh()

    def on_resize(self) -> None:
        self.painting.forget()
        self.call_after_refresh(self.repaint)

    # -- life

    def on_mount(self) -> None:
        self.take_keys()
        if not self.is_headless:
            terminal.on_ending_signals(self.leave)
            terminal.on_sleeping_and_waking(self)
            self.set_interval(HANGUP_SECONDS, self._look_for_terminal)
            self.app_resume_signal.subscribe(self, lambda _app: self.repaint(), immediate=True)
        self.set_interval(RUNS_SECONDS, self.poll_runs)
        self.call_after_refresh(self._begin)

    def _begin(self) -> None:
        self.open_directory(self.workspace.directory, run=self.workspace.run)
        failures = [str(error) for error in (*self._wrong_settings, *self.theme_failures)]
        if self.graphics.problem:
            self.notify_plain(self.graphics.problem)
        if self.settings.theme and self.settings.theme not in self.themes:
            failures.append(
                _("There is no theme {name}. There are {names}.").format(
                    name=self.settings.theme, names=", ".join(sorted(self.themes))
                )
            )
        if len(self.keymap.problems) > 1:  # a screenful of notices would cover what they are about
            text = _("{count} lines of your keys have no effect; {key} says why.")
            failures.append(text.format(count=len(self.keymap.problems), key=self.keymap.shown("app.keys")))
        else:
            failures += [f"{plain(problem.action)}: {problem.message}" for problem in self.keymap.problems]
        for failure in failures:
            self.notify_plain(failure, "warning")

    def repaint(self) -> None:
        """Draw every cell again: something else may have been on the terminal."""
        self.painting.forget()
        self.screen.refresh(layout=True)

    def leave(self, number: int) -> None:
        """End because of a signal, with the terminal as it was."""
        self.stop_work()
        self.exit(return_code=128 + number)

    def _look_for_terminal(self) -> None:
        if terminal.hung_up():
            terminal.end_if_stuck(128 + signal.SIGHUP)
            self.leave(signal.SIGHUP)

    def on_unmount(self) -> None:
        self.stop_work()
        if self._driver is not None and (gone := self.painting.farewell()):
            self._driver.write(gone)

    def _handle_exception(self, error: Exception) -> None:
        """Textual's hook for an error of our own: a crash file and two lines instead of a screen of traceback.

        Where the app ends, work that was still to come finds its widgets taken down: that is none.
        """
        if self._exit and isinstance(terminal.origin(error), (NoMatches, ScreenStackError)):
            return
        if self.is_headless:
            super()._handle_exception(error)
            return
        if self._crashed:
            return
        self._crashed = True
        self._return_code = 1
        self.stop_work()
        self.panic(Text(terminal.crash_message(error, terminal.write_crash_file(error))))

    # -- actions

    async def action_act(self, action_id: str) -> None:
        if action_id.startswith("app.show-"):
            self.show_screen(action_id.removeprefix("app.show-"))
            return
        await super().action_act(action_id)

    async def run_action(self, *args: Any, **kwargs: Any) -> bool:
        """What was said last is old now; and after anything was done, the line of keys may read differently."""
        if self.screen_stack and isinstance(self.screen, BaseScreen):
            self.screen.forget_told()
        done = await super().run_action(*args, **kwargs)
        if done and self.screen_stack and isinstance(self.screen, BaseScreen):
            self.screen.refresh_keys()
        return done

    async def action_back(self) -> None:
        screen = self.screen
        if isinstance(screen, BaseScreen) and screen.step_back():
            return
        if len(self.screen_stack) > 1:
            self.pop_screen()
        elif self.current_mode != "home":
            self.show_screen("home")
        else:
            self.action_how_to_leave()

    def action_how_to_leave(self) -> None:
        key = self.keymap.shown("app.quit", ascii_only=self.ascii_only)
        self.tell(_("{key} leaves the program; a running training goes on.").format(key=key), "muted")

    def read_again(self) -> None:
        """Read the project and all that is in it again, and paint everything anew."""
        self.open_directory(self.workspace.directory, run=self.workspace.run, again=True)
        self.painting.forget()
        self.refresh(repaint=True, layout=True)

    def action_tasks(self) -> None:
        self.show_tasks()

    def action_suspend_program(self) -> None:
        self.action_suspend_process()

    def leave_quietly(self) -> None:
        """End, with nothing to say."""
        self.stop_work()
        self.exit(0)

    def _theme_to_use(self) -> str:
        wanted = self.settings.theme
        if wanted in self.themes:
            return wanted
        few = self.console.color_system in ("standard", "windows")
        if few and "sixteen" in self.themes:
            return "sixteen"
        return DEFAULT_THEME if DEFAULT_THEME in self.themes else "textual-dark"


def _make(entry: ScreenEntry) -> Screen[Any]:
    return load_screen(entry)()


def run_app(directory: Path, *, screen: str = "home", run: Path | None = None) -> int:
    """Open the app on ``directory`` and stay until it is left; the exit status.

    Raises:
        UserError: there is no terminal to draw on.
    """
    terminal.check_terminal()
    settings, wrong = usable_settings()
    set_language(settings.language)
    favour_the_loop()
    ascii_only = settings.ascii or not terminal.draws_unicode()
    if ascii_only:
        from lora_tui.tui.scrollbar import AsciiScrollBarRender

        ScrollBar.renderer = AsciiScrollBarRender
    folder = None
    if run is not None:
        from lora_tui.runs.folder import RunFolder

        folder = RunFolder(run)
    try:
        app = LoraTuiApp(
            directory,
            screen=screen,
            run=folder,
            settings=settings,
            ascii_only=ascii_only,
            wrong_settings=wrong,
            graphics=open_graphics(settings.images, slow=settings.slow),
        )
        run_first(app.run_async())
    except UserError:
        raise
    except Exception as error:
        print(terminal.crash_message(error, terminal.write_crash_file(error)), file=sys.stderr)
        return 1
    for text in app.parting:
        with contextlib.suppress(OSError):  # the terminal may be gone
            print(plain(text), file=sys.stderr)
    return app.return_code or 0
