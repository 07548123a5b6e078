import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from run_builders import make_run

from lora_tui.errors import UserError
from lora_tui.runs.folder import RunFolder, find_run, folder_name, list_runs, read_json


def test_a_new_run_folder_is_complete(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "p" / "runs", "hat girl", "x = 1\n", {"host": "h"})
    assert run.name.endswith("-hat-girl") and run.name[8] == run.name[15] == "-"
    assert run.config_path.read_text() == "x = 1\n"
    record = json.loads(run.record_path.read_text())
    assert (record["format"], record["number"], record["host"]) == (1, 1, "h")
    folders = (run.control_dir, run.checkpoints_dir, run.state_dir, run.samples_dir)
    assert all(folder.is_dir() for folder in folders)


def test_runs_of_one_second_get_names_and_numbers_of_their_own(tmp_path: Path) -> None:
    runs = [RunFolder.create(tmp_path, "x", "", {}) for _ in range(3)]
    assert len({run.name for run in runs}) == 3
    assert [run.number for run in runs] == [1, 2, 3]


def test_starts_at_the_same_time_get_names_and_numbers_of_their_own(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        runs = list(pool.map(lambda _: RunFolder.create(tmp_path, "x", "", {}), range(24)))
    assert sorted(run.number for run in runs) == list(range(1, 25))
    assert sorted(run.root for run in runs) == sorted(tmp_path.iterdir())


def test_processes_take_turns_as_well(tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from lora_tui.runs.folder import RunFolder\n"
    code += "sys.stdin.read(); [RunFolder.create(Path(sys.argv[1]), 'x', '', {}) for _ in range(5)]"
    line = [sys.executable, "-c", code, str(tmp_path)]
    starters = [subprocess.Popen(line, stdin=subprocess.PIPE) for _ in range(4)]
    for starter in starters:
        starter.communicate(timeout=60)
    assert sorted(run.number for run in list_runs(tmp_path)) == list(range(1, 21))


@pytest.mark.parametrize("room", [0, 60])
def test_a_folder_is_made_whole_or_not_at_all(tmp_path: Path, room: int) -> None:
    """Where the disk takes no more than ``room`` bytes of a file."""
    code = (
        "import resource, sys; from pathlib import Path; from lora_tui.runs.folder import RunFolder\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({room}, {room}))\n"
        "RunFolder.create(Path(sys.argv[1]), 'x', 'x = 1\\n', {'host': 'h' * 100})"
    )
    result = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)
    assert "UserError: " in result.stderr and "cannot be made" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_start_left_goes_with_a_later_one(tmp_path: Path) -> None:
    old, new = tmp_path / ".making-old", tmp_path / ".making-new"
    for path in (old, new):
        (path / "control").mkdir(parents=True)
    os.utime(old, (1, 1))
    run = RunFolder.create(tmp_path, "x", "", {})
    assert set(tmp_path.iterdir()) == {new, run.root}
    assert list_runs(tmp_path) == [run]


def test_numbers_go_on_after_a_run_was_removed(tmp_path: Path) -> None:
    for number in (1, 5):
        make_run(tmp_path, f"20260101-00000{number}-x", number=number)
    assert RunFolder.create(tmp_path, "x", "", {}).number == 6


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("hat girl", "hat-girl"),
        ("../../etc", "etc"),
        ("a/b\\c", "a-b-c"),
        ("", "run"),
        ("...", "run"),
        ("帽子 少女", "帽子-少女"),
        ("x\x1b[31m\n", "x-31m"),
        ("-rf", "rf"),
    ],
)
def test_names_become_safe_parts_of_paths(name: str, expected: str) -> None:
    assert folder_name(name) == expected


@given(st.text())
def test_any_name_is_a_folder_name(name: str) -> None:
    safe = folder_name(name)
    assert safe and "/" not in safe and "\0" not in safe and not safe.startswith((".", "-"))
    assert len(os.fsencode(safe)) <= 80


def test_a_place_that_cannot_be_written_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(UserError) as caught:
        RunFolder.create(tmp_path / "runs", "x", "", {})
    assert caught.value.code == "run.create"


def test_runs_are_listed_oldest_first_without_what_is_none(tmp_path: Path) -> None:
    for name in ("20260102-000000-b", "20260101-000000-a"):
        make_run(tmp_path, name)
    (tmp_path / "notes").mkdir()
    (tmp_path / "file").write_text("")
    assert [run.name for run in list_runs(tmp_path)] == ["20260101-000000-a", "20260102-000000-b"]
    assert list_runs(tmp_path / "none") == []


def test_a_run_is_found_by_what_a_person_types(tmp_path: Path) -> None:
    project = tmp_path / "project"
    one = make_run(project / "runs", "20260101-000000-hat", number=1)
    two = make_run(project / "runs", "20260102-000000-shoe", number=2)
    for text in ("hat", "1", one.name, str(one.root), f"runs/{one.name}", "-000000-HAT", "01"):
        assert find_run(text, project) == one
    assert find_run("SHOE", project / "runs") == two
    assert find_run("", project) == two
    assert find_run("", one.root) == one


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("2026010", "run.not_found"),
        ("202601", "run.not_found"),
        ("0", "run.not_found"),
        ("9" * 5000, "run.not_found"),
        ("-0000", "run.ambiguous"),
        ("none", "run.not_found"),
        ("~nobody-of-this-name", "run.not_found"),
        ("a\0b", "run.not_found"),
        ("9", "run.not_found"),
    ],
)
def test_what_means_no_run_or_several_is_an_error(tmp_path: Path, text: str, code: str) -> None:
    make_run(tmp_path / "runs", "20260101-000000-a", number=1)
    make_run(tmp_path / "runs", "20260102-000000-b", number=2)
    with pytest.raises(UserError) as caught:
        find_run(text, tmp_path)
    assert caught.value.code == code


def test_digits_mean_a_number_and_never_a_part_of_a_date(tmp_path: Path) -> None:
    make_run(tmp_path / "runs", "20260102-000000-a", number=1)
    for text in ("2", "7", "02", "20260102"):
        with pytest.raises(UserError, match=f"No run is called {text}") as caught:
            find_run(text, tmp_path)
        assert caught.value.code == "run.not_found"
    named = make_run(tmp_path / "runs", "2024", number=3)
    assert find_run("2024", tmp_path) == named


def test_what_could_be_several_names_them(tmp_path: Path) -> None:
    for second in range(10):
        make_run(tmp_path / "runs", f"20260101-00000{second}-a", number=second // 2 + 1)
    with pytest.raises(UserError) as caught:
        find_run("-a", tmp_path)
    assert "20260101-000000-a, 20260101-000001-a" in caught.value.message and "and 2 more" in caught.value.message
    with pytest.raises(UserError) as caught:
        find_run("2", tmp_path)
    assert caught.value.message == "2 could be 20260101-000002-a, 20260101-000003-a."


def test_an_empty_place_has_no_newest_run(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        find_run("", tmp_path)
    assert caught.value.code == "run.not_found"


def test_a_folder_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    run = make_run(tmp_path, format=2)
    with pytest.raises(UserError) as caught:
        run.require_known_format()
    assert caught.value.code == "run.newer"
    make_run(tmp_path, "20260101-000001-x").require_known_format()


@pytest.mark.parametrize("text", [b"", b"[]", b"{", b"\xff", b"[" * 100_000])
def test_a_damaged_record_counts_as_empty(tmp_path: Path, text: bytes) -> None:
    run = make_run(tmp_path)
    run.record_path.write_bytes(text)
    assert read_json(run.record_path) == {}
    assert run.number == 0
    run.require_known_format()
