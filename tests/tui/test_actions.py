"""The table of actions is complete: every action can be found, pressed and done."""

from __future__ import annotations

import pytest

from lora_tui.tui.actions import (
    ALIKE,
    APP,
    ASKING,
    COMPARE,
    CONFLICTS,
    CROP,
    DIALOG,
    HELP,
    LIST,
    MAKING,
    METADATA,
    PRUNE,
    RESULTS,
    SHEET,
    SWEEP,
    TAGGING,
    TASKS,
    TUNING,
    WRITING,
    Action,
    Actions,
)
from lora_tui.tui.app import LoraTuiApp
from lora_tui.tui.keymap import Keymap, is_key, key_name
from lora_tui.tui.screens import SCREENS, all_actions, entry_of, load_screen
from lora_tui.tui.screens.dataset_alike import AlikeReview
from lora_tui.tui.screens.dataset_crop import CropScreen
from lora_tui.tui.screens.dataset_crop_moves import Moves
from lora_tui.tui.screens.dataset_prepare import PrepareScreen
from lora_tui.tui.screens.dataset_prepare_actions import PREPARE
from lora_tui.tui.screens.help import HelpScreen
from lora_tui.tui.screens.loras_making import MakeLora
from lora_tui.tui.screens.loras_metadata import LoraMetadata
from lora_tui.tui.screens.runs_compare import CompareRuns
from lora_tui.tui.screens.runs_sweep import SweepResults
from lora_tui.tui.screens.tagging_form import TaggingDialog
from lora_tui.tui.screens.tagging_progress import AskingDialog
from lora_tui.tui.screens.tagging_tune import TuneScreen
from lora_tui.tui.screens.tags_conflicts import ConflictDialog
from lora_tui.tui.screens.tags_prune import PruneDialog
from lora_tui.tui.screens.tags_sheet import Sheet
from lora_tui.tui.screens.tags_sweep import Sweep
from lora_tui.tui.screens.tags_write import WriteScreen
from lora_tui.tui.screens.task_list import TaskList
from lora_tui.tui.widgets.dialog import Dialog
from lora_tui.tui.widgets.virtual_list import VirtualList

ACTIONS = list(all_actions())
OVER_SCREENS = {
    PRUNE: PruneDialog,
    CONFLICTS: ConflictDialog,
    SWEEP: Sweep,
    SHEET: Sheet,
    WRITING: WriteScreen,
    HELP: HelpScreen,
    ALIKE: AlikeReview,
    TAGGING: TaggingDialog,
    ASKING: AskingDialog,
    TUNING: TuneScreen,
    TASKS: TaskList,
    COMPARE: CompareRuns,
    RESULTS: SweepResults,
    METADATA: LoraMetadata,
    MAKING: MakeLora,
}


def doers_of(action: Action) -> tuple[object, ...]:
    """Who can do it: a class, or a screen with its parts."""
    if action.context == APP:
        return (LoraTuiApp,)
    if action.context == LIST:
        return (VirtualList,)
    if action.context == DIALOG:
        return (Dialog,)
    if action.context in OVER_SCREENS:
        return (OVER_SCREENS[action.context],)
    if action.context == CROP:
        return CropScreen, Moves
    if action.context == PREPARE:
        return PrepareScreen().doers()
    entry = entry_of(action.context)
    assert entry is not None
    return load_screen(entry)().doers()


@pytest.mark.parametrize("action", ACTIONS, ids=[action.id for action in ACTIONS])
def test_every_action_is_described_and_has_someone_to_do_it(action: Action) -> None:
    assert action.title
    assert action.help.endswith(".")
    if not action.id.startswith("app.show-"):
        assert sum(callable(getattr(doer, action.method, None)) for doer in doers_of(action)) == 1
    assert all(is_key(key_name(key)) for key in action.keys)
    assert action.keys or action.palette


def test_no_two_actions_claim_a_key_where_both_apply() -> None:
    assert Keymap(all_actions()).clashes() == ()


def test_every_screen_knows_its_place_in_the_table() -> None:
    for entry in SCREENS:
        assert entry.name == load_screen(entry).ACTS
        assert all(action.context == entry.name for action in entry.actions)


def test_an_id_can_be_declared_only_once() -> None:
    one = Action("app.one", ("x",), "one", "One.")
    with pytest.raises(ValueError, match=r"app\.one"):
        Actions([one, one])
