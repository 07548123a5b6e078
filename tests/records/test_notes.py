"""Notes, tags and ratings: kept beside the run, by one of several programs at a time."""

import json
import threading

import pytest

from lora_tui.errors import UserError
from lora_tui.records.best import best_name, best_of, checkpoints_of
from lora_tui.records.notes import (
    Notes,
    change_notes,
    change_tags,
    choose_best,
    notes_path,
    rating_in,
    read_notes,
    tags_in,
)
from lora_tui.records.rows import read_rows
from lora_tui.runs.folder import RunFolder


def test_what_is_noted_is_read_back_and_the_record_is_left_alone(runs: list[RunFolder]) -> None:
    record = runs[0].record_path.read_bytes()
    change_notes(runs[0], note="too soft\ntry less", rating=4)
    change_tags(runs[0], ["good", "soft"])
    change_tags(runs[0], ["Good", "final"], ["SOFT"])
    assert read_notes(runs[0]) == Notes("too soft\ntry less", ("good", "final"), 4)
    assert runs[0].record_path.read_bytes() == record
    assert read_notes(runs[1]) == Notes()


def test_several_programs_note_at_once_and_lose_nothing(runs: list[RunFolder]) -> None:
    threads = [threading.Thread(target=change_tags, args=(runs[0], [f"t{number}"])) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(read_notes(runs[0]).tags) == [f"t{number}" for number in range(8)]


def test_what_a_later_version_noted_stays(runs: list[RunFolder]) -> None:
    notes_path(runs[0]).write_text('{"colour": "red", "rating": 2}')
    change_notes(runs[0], note="x")
    assert json.loads(notes_path(runs[0]).read_text())["colour"] == "red"


@pytest.mark.parametrize("text", ["", "[", "[]", '{"tags": 3, "rating": 99, "note": {}}', '{"rating": NaN}', "\0" * 9])
def test_damaged_notes_are_none(runs: list[RunFolder], text: str) -> None:
    notes_path(runs[0]).write_text(text)
    assert read_notes(runs[0]) == Notes()


def test_a_read_only_a_vanished_and_a_newer_run_are_refused_in_words(runs: list[RunFolder]) -> None:
    notes_path(runs[0]).mkdir()
    with pytest.raises(UserError) as refused:
        change_notes(runs[0], rating=1)
    assert refused.value.code in ("notes.write", "file.not_regular")
    runs[1].record_path.write_text('{"format": 99}')
    with pytest.raises(UserError, match="newer version"):
        change_notes(runs[1], rating=1)
    with pytest.raises(UserError, match="gone"):
        change_notes(RunFolder(runs[2].root / "no"), rating=1)


def test_what_can_be_a_tag_and_a_rating() -> None:
    assert tags_in("good, soft  good") == ("good", "soft")
    for wrong in ("-x", 'a"b', "a:b", "\x1b[2J", "x" * 61):
        with pytest.raises(UserError, match="cannot be a tag"):
            tags_in(wrong)
    assert [rating_in(text) for text in ("0", "5", "***")] == [0, 5, 3]
    for wrong in ("6", "-1", "", "good", "******", "9" * 50):
        with pytest.raises(UserError, match="no rating"):
            rating_in(wrong)


def test_the_best_file_is_chosen_with_the_strength_at_which_it_was_found_best(runs: list[RunFolder]) -> None:
    run = runs[0]
    there = checkpoints_of(run)[0]
    choose_best(run, there.path.relative_to(run.root).as_posix(), strength=0.8, reason="grid hats: 100, 0.8")
    notes = read_notes(run)
    assert (notes.best_strength, notes.best_reason) == (0.8, "grid hats: 100, 0.8") and notes.best_time > 0
    best = best_of(run, notes)
    assert best is not None and (best.checkpoint.path, best.why, best.strength) == (there.path, "chosen", 0.8)
    row = read_rows([run], run.root.parent)[0]
    assert row.best_strength == 0.8 and row.notes.best_reason == notes.best_reason
    assert best_name(there.path.name, row.best_strength) == f"{there.path.name} at 0.8"
    choose_best(run, "")
    assert read_notes(run).best_strength is None
    damaged = '{"best": "x", "best_strength": NaN, "best_reason": 3, "best_time": "now"}'
    notes_path(run).write_text(damaged)
    assert read_notes(run) == Notes(best="x")
