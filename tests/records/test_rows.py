"""Rows of the record: what they say, and that nothing stale is believed."""

import shutil
from pathlib import Path

import pytest
from run_builders import add_lines, event_line, step_line

from lora_tui.alarms.alarm import Alarm, write_alarms
from lora_tui.records import rows as module
from lora_tui.records.best import best_of, checkpoints_of, course_of
from lora_tui.records.notes import Notes, change_notes
from lora_tui.records.rows import RowReader, read_rows
from lora_tui.runs.folder import RunFolder
from lora_tui.settings import cache_dir


def test_a_row_says_what_its_run_was_and_became(runs: list[RunFolder]) -> None:
    first, second, third = read_rows(runs, runs[0].root.parent)
    assert (first.family, first.adapter, third.adapter, second.settings["network.rank"]) == (
        "sd15",
        "LoRA 32",
        "LoHa 8",
        64,
    )
    assert (first.best, first.best_step, first.best_why) == (
        "checkpoints/hat-girl-000100.safetensors",
        100,
        "validation",
    )
    assert first.files == 2 and second.files == 1
    assert second.status.state == "died" and second.status.step == 74


def test_what_is_kept_is_used_and_forgotten_when_a_file_changes(
    runs: list[RunFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    runs_dir = runs[0].root.parent
    before = read_rows(runs, runs_dir)
    read: list[str] = []
    facts = module._facts
    monkeypatch.setattr(module, "_facts", lambda run: read.append(run.name) or facts(run))
    assert read_rows(runs, runs_dir) == before and read == []
    change_notes(runs[1], note="new")
    (runs[2].checkpoints_dir / "hat-girl-000050.safetensors").unlink()
    after = read_rows(runs, runs_dir)
    assert read == [runs[1].name, runs[2].name]
    assert (after[1].notes.note, after[2].files) == ("new", 1)
    gone = shutil.move(runs[0].root, runs_dir.parent)
    change_notes(runs[2], note="again")
    read_rows(runs[1:], runs_dir)
    (place,) = (cache_dir() / "runs").iterdir()
    assert runs[0].name not in place.read_text() and runs[1].name in place.read_text()
    shutil.move(gone, runs[0].root)
    after = read_rows(runs, runs_dir)
    for place in (cache_dir() / "runs").iterdir():
        place.write_bytes(b'{"layout": "2 en", "runs": {"x": 3}}')
    assert read_rows(runs, runs_dir) == after


def test_a_run_that_is_over_is_not_inspected_again_for_its_alarms(
    runs: list[RunFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    runs_dir = runs[0].root.parent
    alarm = Alarm("overfitting", "warning", "Validation rises.", "Take step 50.", step=90, at=60, time=5.0)
    write_alarms(runs[0].root, [alarm])
    before = read_rows(runs, runs_dir)
    assert before[0].status.alarms == (alarm,)
    inspected: list[str] = []
    inspect = module.inspect
    monkeypatch.setattr(module, "inspect", lambda run: inspected.append(run.name) or inspect(run))
    assert read_rows(runs, runs_dir) == before and inspected == []
    write_alarms(runs[0].root, [])
    assert read_rows(runs, runs_dir)[0].status.alarms == () and inspected == [runs[0].name]


def test_a_living_run_is_not_read_whole_at_every_look(runs: list[RunFolder], monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    reader = RowReader(runs[0].root.parent, keep=False)
    status = replace(reader.status(runs[0]), state="running")
    read: list[str] = []
    facts = module._facts
    monkeypatch.setattr(module, "_facts", lambda run: read.append(run.name) or facts(run))
    for step in range(101, 104):
        add_lines(runs[0], [step_line(step)])
        reader.row(status)
    assert read == [runs[0].name]
    change_notes(runs[0], rating=5)
    assert reader.row(status).notes.rating == 5


def test_the_best_file_is_that_of_the_lowest_validation_or_the_chosen_one(runs: list[RunFolder]) -> None:
    run = runs[0]
    add_lines(run, [event_line("validation", step=50, loss=0.01), event_line("validation", step=100, loss="nan")])
    best = best_of(run, Notes())
    assert best is not None and (best.checkpoint.step, best.why) == (50, "validation")
    best = best_of(run, Notes(best="checkpoints/hat-girl-000100.safetensors"))
    assert best is not None and (best.checkpoint.step, best.why) == (100, "chosen")
    best = best_of(run, Notes(best="../../etc/passwd"))
    assert best is not None and best.why == "validation"
    run.events_path.unlink()
    best = best_of(run, Notes())
    assert best is not None and best.why == "last"
    assert best_of(RunFolder(run.root / "none"), Notes()) is None


def test_what_a_resume_took_back_is_no_best(runs: list[RunFolder], tmp_path: Path) -> None:
    run = runs[1]
    add_lines(run, [event_line("validation", step=70, loss=0.001), event_line("resumed", step=50)])
    assert course_of(run).lowest is not None and course_of(run).lowest[0] == 50  # type: ignore[index]
    assert [one.step for one in checkpoints_of(run)] == [50]


def test_without_a_place_to_keep_anything_the_list_is_told_all_the_same(
    runs: list[RunFolder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LORA_TUI_HOME", str(tmp_path / "file"))
    assert [row.settings["network.rank"] for row in read_rows(runs, runs[0].root.parent)] == [32, 64, 8]
