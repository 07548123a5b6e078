"""The table of screens. A screen that is not in it has no key, no place in the palette and no help.

To add one: its class in ``NAME.py``, its style sheet in ``NAME.tcss``, its actions in
``NAME_actions.py``, and an entry here. Classes are loaded when their screen is first shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from lora_tui.text import N_
from lora_tui.tui.actions import APP_ACTIONS, DIALOG_ACTIONS, HELP_ACTIONS, LIST_ACTIONS, TASKS_ACTIONS, Action, Actions
from lora_tui.tui.screens.dataset_actions import ALIKE_ACTIONS, DATASET_ACTIONS
from lora_tui.tui.screens.dataset_crop_actions import CROP_ACTIONS
from lora_tui.tui.screens.dataset_prepare_actions import PREPARE_ACTIONS
from lora_tui.tui.screens.grids_actions import GRIDS_ACTIONS
from lora_tui.tui.screens.home_actions import HOME_ACTIONS
from lora_tui.tui.screens.loras_actions import LORAS_ACTIONS, MAKING_ACTIONS, METADATA_ACTIONS
from lora_tui.tui.screens.parameters_actions import PARAMETERS_ACTIONS
from lora_tui.tui.screens.queue_actions import QUEUE_ACTIONS
from lora_tui.tui.screens.runs_actions import COMPARE_ACTIONS, RESULTS_ACTIONS, RUNS_ACTIONS
from lora_tui.tui.screens.tagging_actions import TAGGING_ACTIONS
from lora_tui.tui.screens.tags_actions import OVER_ACTIONS, TAGS_ACTIONS
from lora_tui.tui.screens.training_actions import TRAINING_ACTIONS

if TYPE_CHECKING:
    from lora_tui.tui.screens.base import BaseScreen


@dataclass(frozen=True)
class ScreenEntry:
    """One screen.

    Attributes:
        name: the context of its actions and its name everywhere (``training``).
        key: the key that shows it; empty for none.
        title: what a person reads.
        help: a sentence.
        place: ``module:Class`` below this package.
        actions: what can be done there.
        road: its short name on the road in the header; empty when it is no step of it.
        machine: it is about the machine, not the project, and is named in the header only where it is in view.
    """

    name: str
    key: str
    title: str
    help: str
    place: str
    actions: tuple[Action, ...] = ()
    road: str = ""
    machine: bool = False

    @property
    def action(self) -> Action:
        """The action that shows it."""
        keys = (self.key,) if self.key else ()
        return Action(f"app.show-{self.name}", keys, self.title, self.help, show=False)


SCREENS: tuple[ScreenEntry, ...] = (
    ScreenEntry(
        "home",
        "f9",
        N_("Home"),
        N_("The road from pictures to a LoRA: what is done, what is missing, what to do next."),
        "home:HomeScreen",
        HOME_ACTIONS,
    ),
    ScreenEntry(
        "dataset",
        "f2",
        N_("Dataset"),
        N_("The images with their facts, pictures, captions and problems."),
        "dataset:DatasetScreen",
        DATASET_ACTIONS,
        N_("Data"),
    ),
    ScreenEntry(
        "tags",
        "f3",
        N_("Tags"),
        N_("The captions: filter, mark, add, rename and remove tags of many images at once, with preview and undo."),
        "tags:TagsScreen",
        TAGS_ACTIONS,
        N_("Tags"),
    ),
    ScreenEntry(
        "parameters",
        "f4",
        N_("Parameters"),
        N_("Every setting of a run with its help, checked as it is typed, and the plan that follows."),
        "parameters:ParametersScreen",
        PARAMETERS_ACTIONS,
        road=N_("Params"),
    ),
    ScreenEntry(
        "training",
        "f5",
        N_("Training"),
        N_("A run as it goes: curves, numbers, samples, log; stop, save, sample, pause and resume."),
        "training:TrainingScreen",
        TRAINING_ACTIONS,
        road=N_("Train"),
    ),
    ScreenEntry(
        "grids",
        "f6",
        N_("Grids"),
        N_("Pictures of every combination, such as checkpoints and strengths: look, compare, note the best."),
        "grids:GridsScreen",
        GRIDS_ACTIONS,
    ),
    ScreenEntry(
        "loras",
        "f7",
        N_("LoRAs"),
        N_("LoRA files of the project and of other folders: what each holds, and what can be made of them."),
        "loras:LorasScreen",
        LORAS_ACTIONS,
    ),
    ScreenEntry(
        "runs",
        "f8",
        N_("Runs"),
        N_("All runs of the project: state, steps, loss, files; open one, or go on with it."),
        "runs:RunsScreen",
        RUNS_ACTIONS,
    ),
    ScreenEntry(
        "queue",
        "f10",
        N_("Queue"),
        N_("Jobs of this machine that wait for a GPU or for each other: order, hold, retry, remove; what runs now."),
        "queue:QueueScreen",
        QUEUE_ACTIONS,
        machine=True,
    ),
)


def entry_of(name: str) -> ScreenEntry | None:
    """The entry of a screen, none when there is no such screen."""
    return next((entry for entry in SCREENS if entry.name == name), None)


def load_screen(entry: ScreenEntry) -> type[BaseScreen]:
    """The class of a screen."""
    module, _colon, name = entry.place.partition(":")
    found: type[BaseScreen] = getattr(import_module(f"{__name__}.{module}"), name)
    return found


def all_actions() -> Actions:
    """Every action of the program: the app's, its screens', the list's and the dialogs'."""
    shows = tuple(entry.action for entry in SCREENS)
    own = tuple(action for entry in SCREENS for action in entry.actions)
    return Actions(
        (
            *shows,
            *APP_ACTIONS,
            *own,
            *LIST_ACTIONS,
            *DIALOG_ACTIONS,
            *OVER_ACTIONS,
            *HELP_ACTIONS,
            *ALIKE_ACTIONS,
            *PREPARE_ACTIONS,
            *CROP_ACTIONS,
            *TASKS_ACTIONS,
            *TAGGING_ACTIONS,
            *COMPARE_ACTIONS,
            *RESULTS_ACTIONS,
            *METADATA_ACTIONS,
            *MAKING_ACTIONS,
        )
    )
