"""What a person can do: one table that makes bindings, footer, help and palette.

An action is declared once, as data. The screens' own actions stand in ``screens/NAME_actions.py`` and
come in through the table of screens. Knows no widget: only ids, keys, words and where they apply.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from lora_tui.text import N_

APP = "app"
LIST = "list"
DIALOG = "dialog"

PRUNE = "prune"
SWEEP = "sweep"
SHEET = "sheet"
WRITING = "writing"
CONFLICTS = "conflicts"
ALIKE = "alike"
CROP = "crop"
TASKS = "tasks"
METADATA = "metadata"
MAKING = "making"
HELP = "help"
TAGGING = "tagging"
ASKING = "asking"
TUNING = "tuning"
COMPARE = "compare"
RESULTS = "results"
OVER: dict[str, tuple[str, ...]] = {
    DIALOG: (LIST,),
    PRUNE: (DIALOG, LIST),
    CONFLICTS: (DIALOG, LIST),
    HELP: (DIALOG, LIST),
    TAGGING: (DIALOG, LIST),
    ASKING: (DIALOG,),
    TUNING: (LIST,),
    COMPARE: (LIST,),
    RESULTS: (LIST,),
    SWEEP: (),
    SHEET: (),
    WRITING: (),
    ALIKE: (),
    CROP: (),
    TASKS: (DIALOG, LIST),
    METADATA: (DIALOG, LIST),
    MAKING: (DIALOG, LIST),
}
"""What lies over a screen and takes its keys away, with the contexts whose keys work there beside its own."""


@dataclass(frozen=True)
class Action:
    """One thing that a person can do.

    Attributes:
        id: ``context.name``; the widget or screen of that context has a method ``action_name``.
        keys: Textual's names of the keys (``ctrl+p``, ``question_mark``) or single characters.
        title: a few words for footer and palette.
        help: a sentence for help and palette.
        show: whether the footer names it.
        priority: works even while a text field or a dialog has the focus.
        palette: whether the palette offers it; moving a cursor by its name helps nobody.
    """

    id: str
    keys: tuple[str, ...]
    title: str
    help: str
    show: bool = True
    priority: bool = False
    palette: bool = True

    @property
    def context(self) -> str:
        """Where it applies: ``app``, ``list``, ``dialog`` or the name of a screen."""
        return self.id.partition(".")[0]

    @property
    def method(self) -> str:
        """The name of the method that does it."""
        return "action_" + self.id.partition(".")[2].replace("-", "_").replace(".", "_")


APP_ACTIONS: tuple[Action, ...] = (
    Action("app.back", ("escape", "q"), N_("back"), N_("One level back; from most screens to Home."), show=False),
    Action("app.palette", ("ctrl+p",), N_("commands"), N_("Find a command by its name.")),
    Action("app.keys", ("?", "f1"), N_("keys"), N_("All keys, searchable.")),
    Action(
        "app.open-project",
        ("ctrl+o",),
        N_("open project"),
        N_("Open another project or a folder of images."),
        show=False,
    ),
    Action(
        "app.settings",
        (),
        N_("app settings"),
        N_("Colours, language, pictures, the bell, notifications, slow links: what holds in every project."),
        show=False,
    ),
    Action("app.choose-theme", (), N_("choose theme"), N_("Choose the colours; shown at once."), show=False),
    Action(
        "app.choose-language",
        (),
        N_("choose language"),
        N_("Choose the language of the program: English or Chinese."),
        show=False,
    ),
    Action(
        "app.choose-pictures",
        (),
        N_("choose pictures"),
        N_("How pictures are drawn: half cells, the terminal's own graphics, characters, or not at all."),
        show=False,
    ),
    Action(
        "app.tasks",
        (),
        N_("work in the background"),
        N_("Tagging, preparing, work on LoRA files: what goes on or has ended, its progress and results; stop, go on."),
        show=False,
    ),
    Action(
        "app.rescan",
        ("ctrl+l",),
        N_("read again"),
        N_("Read the project, its images and its runs again from disk, and repaint."),
        show=False,
    ),
    Action(
        "app.suspend-program",
        ("ctrl+z",),
        N_("to the shell"),
        N_("Leave the program asleep in the background; fg brings it back."),
        show=False,
    ),
    Action(
        "app.how-to-leave",
        ("ctrl+c",),
        N_("how to leave"),
        N_("Says which key leaves the program, for hands that press this one."),
        show=False,
        palette=False,
    ),
    Action(
        "app.quit",
        ("ctrl+q",),
        N_("quit"),
        N_("Leave the program. A running training goes on."),
        priority=True,
    ),
)

LIST_ACTIONS: tuple[Action, ...] = (
    Action("list.up", ("up", "k"), N_("up"), N_("One row up."), show=False, palette=False),
    Action("list.down", ("down", "j"), N_("down"), N_("One row down."), show=False, palette=False),
    Action("list.page-up", ("pageup", "ctrl+b"), N_("page up"), N_("One page up."), show=False, palette=False),
    Action("list.page-down", ("pagedown", "ctrl+f"), N_("page down"), N_("One page down."), show=False, palette=False),
    Action("list.first", ("home", "g"), N_("first"), N_("To the first row."), show=False, palette=False),
    Action("list.last", ("end", "G"), N_("last"), N_("To the last row."), show=False, palette=False),
)

DIALOG_ACTIONS: tuple[Action, ...] = (
    Action("dialog.accept", ("enter",), N_("apply"), N_("Take what the dialog shows."), palette=False),
    Action("dialog.cancel", ("escape",), N_("cancel"), N_("Close the dialog; nothing changes."), palette=False),
)

HELP_ACTIONS: tuple[Action, ...] = (
    Action(
        "help.rebind", ("ctrl+r",), N_("another key"), N_("Give the action another key of your own."), palette=False
    ),
)


TASKS_ACTIONS: tuple[Action, ...] = (
    Action(
        "tasks.pause",
        ("p",),
        N_("pause, go on"),
        N_("Let it rest, or go on; one that was stopped or died is started again where it was."),
        palette=False,
    ),
    Action("tasks.stop", ("s",), N_("stop"), N_("End it after the image in hand; what is done stays."), palette=False),
)


def keys_of(context: str, *keys: str) -> tuple[Action, Action]:
    """The list of all keys and the palette, for what lies over a screen; ``?`` and F1 where no keys are named."""
    return (
        Action(f"{context}.keys", keys or ("?", "f1"), N_("keys"), N_("All keys, searchable."), palette=False),
        Action(
            f"{context}.palette", ("ctrl+p",), N_("commands"), N_("Find a command by its name."),
            show=False, palette=False,
        ),
    )  # fmt: skip


class Actions:
    """All actions of the program by id and by context, in the order of their declaration."""

    def __init__(self, actions: Iterable[Action]) -> None:
        self._by_id: dict[str, Action] = {}
        for action in actions:
            if action.id in self._by_id:
                raise ValueError(f"declared twice: {action.id}")
            self._by_id[action.id] = action
        self._of: dict[str, tuple[Action, ...]] = {}
        for action in self._by_id.values():
            self._of[action.context] = (*self._of.get(action.context, ()), action)

    def __iter__(self) -> Iterator[Action]:
        return iter(self._by_id.values())

    def __contains__(self, action_id: str) -> bool:
        return action_id in self._by_id

    def __getitem__(self, action_id: str) -> Action:
        return self._by_id[action_id]

    def of(self, context: str) -> tuple[Action, ...]:
        """The actions of one context."""
        return self._of.get(context, ())
