"""What every screen has: the line on top, its own body, the status and the keys at the bottom.

A screen composes its body and reads the workspace; the app tells it what changed. It can be thrown away
and made again at any time (a change of language does), so what must last belongs into the workspace.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual import events, on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.css.query import NoMatches
from textual.timer import Timer
from textual.widgets import Static

from lora_tui.errors import UserError
from lora_tui.text import _
from lora_tui.tui.acting import Acting, keymap_of
from lora_tui.tui.actions import APP
from lora_tui.tui.frames import PromptScreen
from lora_tui.tui.keymap import is_printable, key_text
from lora_tui.tui.screens.awaiting import Awaiting
from lora_tui.tui.threads import start_job
from lora_tui.tui.widgets.footer import KeyHint, Keys, Status
from lora_tui.tui.widgets.header import Header, HeaderText
from lora_tui.tui.wording import error_words
from lora_tui.tui.workspace import EVERYTHING, Change, Workspace

if TYPE_CHECKING:
    from lora_tui.tui.app import LoraTuiApp

TOLD_SECONDS = 12.0
"""How long the status line says what was just done."""

LEAST_WIDTH, LEAST_HEIGHT = 60, 15
"""Below this a notice stands in for the screen."""


class BaseScreen(Acting, PromptScreen):
    """A screen of the app. Subclasses set :attr:`ACTS` to their name in the table of screens."""

    ACTS: ClassVar[str] = ""
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (72, "-middle"), (110, "-wide"), (160, "-very-wide")]
    VERTICAL_BREAKPOINTS = [(0, "-low"), (18, "-short"), (24, "-usual"), (34, "-tall")]
    AUTO_FOCUS = "VirtualList"
    FREE: ClassVar[frozenset[str]] = frozenset()
    """Actions, by their name without the context, that need nothing of what is :meth:`awaited`."""

    def __init__(self) -> None:
        super().__init__()
        self.awaiting = Awaiting(self)
        self._missed: set[Change] = set(EVERYTHING)
        self._told: Timer | None = None
        self._guiding: dict[object, tuple[bool, str]] = {}

    # -- for subclasses

    def compose_body(self) -> ComposeResult:
        """The widgets between header and status."""
        return ()

    def workspace_changed(self, changed: frozenset[Change]) -> None:
        """Read the workspace again. Called on the visible screen only, and with all that it missed when shown."""

    def go_to(self, place: str) -> None:
        """Put the cursor on a thing of this screen: a setting by its key, a file by its path."""

    def go_back(self) -> bool:
        """Leave an inner state (a filter, a zoom); false when there is none, and the app goes to the start."""
        return False

    @property
    def takes_keys(self) -> bool:
        """Whether what is typed can be used now; until then it waits."""
        return self.is_mounted and not self._missed and not self._guiding

    @property
    def is_guiding(self) -> bool:
        """Whether a job is under way that keys wait for."""
        return bool(self._guiding)

    def guide(self, job: Callable[[], Coroutine[Any, Any, None]], *, stops: bool = True, words: str = "") -> None:
        """Run a job that ends in a dialog, a preview or another cursor; what is typed before that is there waits.

        Args:
            stops: Esc gives it up, for it only reads; else Esc drops what waits, and the job goes on.
            words: what is done meanwhile, where that is more than reading.
        """

        async def guided() -> None:
            try:
                await job()
            except UserError as error:
                self.tell(error_words(error), "error")
            finally:
                self._guiding.pop(guided, None)
                self.resume_keys()

        self._guiding[guided] = stops, words
        self.awaiting.look()
        start_job(self, guided, "guide" if stops else "guide on", alone=False)

    def give_up(self) -> bool:
        """Esc: what is being looked up is wanted no more; false where no job is under way that keys wait for."""
        guiding = bool(self._guiding)
        self.workers.cancel_group(self, "guide")
        for job in [job for job, (stops, _words) in self._guiding.items() if stops]:
            del self._guiding[job]  # one that had not begun never ends
        self.awaiting.look()
        return guiding

    def step_back(self) -> bool:
        """Esc: give up what is being looked up, else leave an inner state; false when there is neither."""
        return self.give_up() or self.go_back()

    def waits_for(self, key: str) -> bool:
        """Whether a key, by Textual's name, waits in line until what is under way has ended; those behind it do, too.

        Who says so gives the app's keys out (``give_keys``) once it has.
        """
        focused = self.focused
        if not self.awaited() or (focused is not None and focused.check_consume_key("a", "a")):
            return False
        keymap = self.shell.keymap
        free = (*keymap.actions.of(APP), *(keymap.actions[f"{self.ACTS}.{name}"] for name in self.FREE))
        return not any(key == bound.partition(" ")[0] for action in free for bound in keymap.keys(action.id))

    def resume_keys(self) -> None:
        """What keys wait for may be there now: give them out."""
        self.awaiting.look()
        self.call_later(self.shell.give_keys)

    def awaited(self) -> str:
        """What is being read that the screen's keys are about, in words; empty once it is there.

        They wait for it, but those of :attr:`FREE` and the app's; Esc leaves the screen, or its inner state.
        """
        return ""

    def reading_words(self) -> str:
        """What is being read for the screen or for a dialog, in words; empty where nothing is."""
        if (words := self.awaited()) or not self._guiding:
            return words
        reads, words = list(self._guiding.values())[-1]
        return words or (_("Reading.") if reads else _("Still running."))

    def keys_wait(self) -> None:
        """Called when keys have begun to wait, and with each that follows: a screen can say so."""
        self.awaiting.look()

    @property
    def holds_config(self) -> bool:
        """Whether the configuration is being typed in or started, so that no other may take its place now."""
        return False

    @property
    def shell(self) -> LoraTuiApp:
        """The app, with its own type."""
        return cast("LoraTuiApp", self.app)

    @property
    def workspace(self) -> Workspace:
        """What is open."""
        return self.shell.workspace

    def set_status(self, text: str, right: str = "") -> None:
        """Say what is so on the status line: scope, filter, counts."""
        if (status := self.query_one_optional(Status)) is not None:  # none any more while the app is being left
            status.show(text, right)

    def tell(self, text: str, tone: str = "") -> None:
        """Say on the status line what just happened; it stays until the next key, or for a while.

        ``tone`` is one of ``cells.TONES``.
        """
        if (status := self.query_one_optional(Status)) is None:
            return
        status.tell(text, tone)
        if self._told is not None:
            self._told.stop()
        self._told = self.set_timer(TOLD_SECONDS, self.forget_told)

    @property
    def is_telling(self) -> bool:
        """Whether the status line says what just happened: a hint that can wait does not cover it."""
        return self._told is not None

    def forget_told(self) -> None:
        """Say again what is so: the next key was pressed."""
        if self._told is not None:
            self._told.stop()
            self._told = None
            self.query_one(Status).forget()

    def refresh_keys(self) -> None:
        """Draw the line of keys again: what can be done has changed."""
        if self.is_mounted and (keys := self.query_one_optional(Keys)) is not None:
            keys.show(self.key_hints())

    # -- the frame

    def compose(self) -> ComposeResult:
        yield Header(self.shell.header_text())
        with Vertical(id="body"):
            yield from self.compose_body()
        yield Status()
        yield Keys()
        yield TooSmall()

    def on_mount(self) -> None:
        self.take_keys()
        self.refresh_keys()

    @on(events.ScreenResume)
    def _shown(self) -> None:
        self.call_after_refresh(self._catch_up)

    def _catch_up(self) -> None:
        """Take in what changed while the screen was not seen, once its widgets are there."""
        if not self.is_current or self.query_one_optional(Header) is None:
            return
        self.show_header(self.shell.header_text())
        if self._missed:
            missed = frozenset(self._missed)
            self._missed.clear()
            self.workspace_changed(missed)
        place = self.shell.take_place(self.ACTS)
        if place:
            self.go_to(place)
        self.refresh_keys()
        self.shell.show_kept(self)
        self.resume_keys()

    def take_change(self, changed: frozenset[Change]) -> None:
        """The app's door: pass a change on now, or keep it until the screen is shown again."""
        if not (self.is_current and self.is_mounted) or self._missed:
            self._missed |= changed
            return
        try:
            self.workspace_changed(changed)
        except NoMatches:
            if not self._being_taken_down():
                raise
            return
        self.refresh_keys()
        self.resume_keys()

    def _being_taken_down(self) -> bool:
        """Whether the screen or the app is closing: some of the widgets are gone then, and nobody looks."""
        return self._pruning or self._closing or not self.app.is_running or not self.is_running

    def show_header(self, text: HeaderText) -> None:
        """Say something else on the top line."""
        if (header := self.query_one_optional(Header)) is not None:
            header.show(text)

    @on(events.Resize)
    def _resized(self, event: events.Resize) -> None:
        self.query_one(TooSmall).fit(event.size.width, event.size.height)

    async def action_act(self, action_id: str) -> None:
        """Do an action, unless the terminal is too small to see what it does."""
        if not self.query_one(TooSmall).display:
            await super().action_act(action_id)

    def action_tasks(self) -> None:
        """The work in the background; for screens whose actions name it."""
        self.shell.show_tasks()

    def on_descendant_focus(self) -> None:
        self.refresh_keys()

    def on_descendant_blur(self) -> None:
        self.refresh_keys()

    @on(Keys.Pressed)
    def _hint_pressed(self, event: Keys.Pressed) -> None:
        event.stop()
        if event.action:
            self.shell.perform(event.action)

    def key_hints(self) -> list[KeyHint]:
        """The keys that work here now, in the order of use: the screen's own, then the app's."""
        keymap = keymap_of(self.app)
        focused = self.focused
        typing = focused is not None and focused.check_consume_key("a", "a")
        ascii_only = self.shell.ascii_only
        hints = []
        for action in (*keymap.actions.of(self.ACTS), *keymap.actions.of(APP)):
            keys = [key for key in keymap.keys(action.id) if not (typing and is_printable(key))]
            if not action.show or not keys:
                continue
            own = action.context == self.ACTS
            possible = not (own and self.refusal(action.id))
            kept = action.id in ("app.keys", "app.palette")
            hints.append(KeyHint(action.id, key_text(keys[0], ascii_only=ascii_only), _(action.title), possible, kept))
        return hints


class TooSmall(Static):
    """A notice over everything while the terminal is too small to use."""

    def __init__(self) -> None:
        super().__init__("", markup=False)

    def on_mount(self) -> None:
        self.fit(self.app.size.width, self.app.size.height)

    def fit(self, width: int, height: int) -> None:
        """Show or hide the notice for a terminal of this size."""
        small = width < LEAST_WIDTH or height < LEAST_HEIGHT
        if small:
            self.update(
                _("The terminal is {width}x{height}; at least {least_width}x{least_height} is needed.").format(
                    width=width, height=height, least_width=LEAST_WIDTH, least_height=LEAST_HEIGHT
                )
            )
        self.display = small
