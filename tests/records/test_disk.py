"""What runs take, what can go, and that it goes no further than asked."""

import json
import os
from pathlib import Path

import pytest

from lora_tui.errors import UserError
from lora_tui.jobs.lock import RunLock
from lora_tui.records.disk import Wish, cost_of, leaving
from lora_tui.records.notes import change_notes
from lora_tui.records.rows import Row, read_rows
from lora_tui.records.trash import bring_back, empty, in_trash, throw_away
from lora_tui.runs.folder import RunFolder, list_runs


@pytest.fixture
def row(runs: list[RunFolder]) -> Row:
    """A complete run with files of all kinds."""
    run = runs[0]
    for number in (10, 20, 30):
        (run.checkpoints_dir / f"hat-girl-0000{number}.safetensors").write_bytes(b"x" * 1000)
    (run.checkpoints_dir / "hat-girl.safetensors").write_bytes(b"x" * 1000)
    (run.state_dir / "000100" / "weights").write_bytes(b"x" * 5000)
    return read_rows([run], run.root.parent)[0]


def names(row: Row, wish: Wish) -> set[str]:
    return {one.path.relative_to(row.run.root).as_posix() for one in leaving(row, wish)[0]}


def test_the_parts_add_up_to_what_lies_there(row: Row) -> None:
    cost = cost_of(row.run)
    files = [path for path in row.run.root.rglob("*") if path.is_file()]
    assert cost.total == sum(path.stat().st_size for path in files)
    assert cost.parts["state"] == 5000 and cost.parts["checkpoints"] == 4008
    os.link(files[0], row.run.root / "twice")
    assert cost_of(row.run).total == cost.total, "two names of one file take its room once"


def test_best_last_final_and_chosen_files_stay(row: Row) -> None:
    spare = {"checkpoints/hat-girl-000010.safetensors", "checkpoints/hat-girl-000020.safetensors"}
    spare |= {"checkpoints/hat-girl-000030.safetensors", "checkpoints/hat-girl-000050.safetensors"}
    assert names(row, Wish(("checkpoints",))) == spare
    assert names(row, Wish(("states",))) == {"state/000050", "state/000100"}
    change_notes(row.run, best="checkpoints/hat-girl-000020.safetensors")
    row = read_rows([row.run], row.run.root.parent)[0]
    assert "checkpoints/hat-girl-000020.safetensors" not in names(row, Wish(("checkpoints",)))
    assert names(row, Wish(("checkpoints",), keep=99)) == set()


def test_where_nothing_tells_the_best_file_all_stay_unless_a_number_is_said(row: Row) -> None:
    row.run.events_path.unlink()
    row = read_rows([row.run], row.run.root.parent)[0]
    assert names(row, Wish(("checkpoints",))) == set()
    assert len(names(row, Wish(("checkpoints",), keep=0))) == 5
    change_notes(row.run, best="checkpoints/hat-girl-000020.safetensors")
    row = read_rows([row.run], row.run.root.parent)[0]
    assert len(names(row, Wish(("checkpoints",)))) == 4


def test_a_run_that_can_go_on_keeps_its_newest_state(runs: list[RunFolder]) -> None:
    (runs[1].state_dir / "000060").mkdir()
    row = read_rows([runs[1]], runs[1].root.parent)[0]
    assert names(row, Wish(("states",))) == {"state/000050"}
    os.utime(runs[1].state_dir / "000060", (1, 1))  # a copy of the folder may have any times
    assert names(row, Wish(("states",))) == {"state/000050"}


def test_old_enough_living_and_newer_runs(row: Row) -> None:
    from dataclasses import replace

    assert leaving(row, Wish(older_than=3600)) == ([], "it is not old enough")
    assert leaving(replace(row, status=replace(row.status, state="running")), Wish())[1] == "it is running"
    assert leaving(replace(row, status=replace(row.status, newer=True)), Wish(("all",)))[0] == []


def test_what_goes_into_the_trash_comes_back_as_it_was(row: Row) -> None:
    runs_dir = row.run.root.parent
    before = {path.relative_to(runs_dir): path.stat().st_size for path in runs_dir.rglob("*") if path.is_file()}
    gone, errors = throw_away([*leaving(row, Wish())[0]])
    assert gone and not errors and len(list_runs(runs_dir)) == 3
    assert not (row.run.state_dir / "000100").exists()
    removed = in_trash(runs_dir)[0]
    assert len(bring_back(runs_dir, removed)) == len(gone) and in_trash(runs_dir) == []
    after = {path.relative_to(runs_dir): path.stat().st_size for path in runs_dir.rglob("*") if path.is_file()}
    assert {**after, Path(row.run.name, "lock"): 0} == {**before, Path(row.run.name, "lock"): 0}


def test_a_whole_run_goes_and_the_others_stay(runs: list[RunFolder], row: Row) -> None:
    runs_dir = row.run.root.parent
    throw_away(leaving(row, Wish(("all",)))[0])
    assert list_runs(runs_dir) == runs[1:]
    removed = in_trash(runs_dir)
    row.run.root.mkdir()
    with pytest.raises(UserError, match="in its place"):
        bring_back(runs_dir, removed[0])
    assert empty(runs_dir, removed) > 1000 and in_trash(runs_dir) == []


def test_a_run_that_is_being_trained_is_left_alone(row: Row) -> None:
    found = leaving(row, Wish(("all",)))[0]
    with RunLock.acquire(row.run.lock_path):
        gone, errors = throw_away(found, for_good=True)
    assert gone == [] and len(errors) == 1 and row.run.config_path.is_file()
    gone, errors = throw_away(found, for_good=True)
    assert gone == found and not row.run.root.exists()


@pytest.mark.parametrize("place", ["../outside", "/etc/passwd", "a/../../b", ""])
def test_a_hostile_list_in_the_trash_moves_nothing_outside(runs: list[RunFolder], place: str) -> None:
    folder = runs[0].root.parent / ".trash" / "x"
    folder.mkdir(parents=True)
    (folder / "moved.json").write_text(json.dumps({"time": "soon", "moves": [[place, place], 3, ["a"]]}))
    with pytest.raises(UserError, match="damaged"):
        bring_back(runs[0].root.parent, in_trash(runs[0].root.parent)[0])
