import json
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lora_tui.errors import UserError
from lora_tui.jobs.control import KINDS, ControlInbox, clear, request


def test_requests_come_in_the_order_in_which_they_were_made_and_only_once(tmp_path: Path) -> None:
    for kind in ("save", "sample", "stop"):
        request(tmp_path, kind)
    inbox = ControlInbox(tmp_path)
    assert [item.kind for item in inbox.poll()] == ["save", "sample", "stop"]
    assert inbox.poll() == []
    assert list((tmp_path / "control").iterdir()) == []


def test_fields_arrive_with_the_request(tmp_path: Path) -> None:
    path = request(tmp_path, "sample", prompt="a cat", count=2)
    (item,) = ControlInbox(tmp_path).poll()
    assert (item.fields, item.path) == ({"prompt": "a cat", "count": 2}, path)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.sampled_from(KINDS), max_size=12))
def test_order_holds_for_any_requests(tmp_path_factory: pytest.TempPathFactory, kinds: list[str]) -> None:
    folder = tmp_path_factory.mktemp("run")
    for kind in kinds:
        request(folder, kind)
    assert [item.kind for item in ControlInbox(folder).poll()] == kinds


def test_order_holds_when_the_clock_goes_back(tmp_path: Path) -> None:
    first = request(tmp_path, "save")
    later = first.with_name(f"{10**20}-save.json")
    first.rename(later)
    request(tmp_path, "stop")
    assert [item.kind for item in ControlInbox(tmp_path).poll()] == ["save", "stop"]


def test_an_unknown_request_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        request(tmp_path, "explode")
    assert caught.value.code == "control.kind"


def test_a_folder_that_is_no_folder_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "control").write_text("")
    with pytest.raises(UserError) as caught:
        request(tmp_path, "stop")
    assert caught.value.code == "control.write"
    assert ControlInbox(tmp_path).poll() == []


def test_what_is_no_request_is_put_aside(tmp_path: Path) -> None:
    folder = tmp_path / "control"
    folder.mkdir()
    (folder / "1-stop.json").write_text("{")
    (folder / "2-stop.json").write_text(json.dumps({"kind": "explode"}))
    (folder / "3-stop.json").write_bytes(b"x" * 100_000)
    (folder / "4-stop.json").write_bytes(b'{"kind": "stop", "x": "\xff"}')
    (folder / "5-stop.json").mkdir()
    os.mkfifo(folder / "6-stop.json")
    (folder / "7-stop.json").symlink_to("/dev/zero")
    (folder / ".8-stop.json.tmp").write_text("unfinished")
    request(tmp_path, "save")
    inbox = ControlInbox(tmp_path)
    assert [item.kind for item in inbox.poll()] == ["save"]
    assert inbox.poll() == []
    bad = sorted(path.name for path in folder.glob("*.bad"))
    assert bad == [f"{number}-stop.json.bad" for number in range(1, 8)]
    assert stat.S_ISFIFO((folder / "6-stop.json.bad").stat().st_mode)


def test_old_requests_are_forgotten_for_a_new_life(tmp_path: Path) -> None:
    request(tmp_path, "stop")
    clear(tmp_path)
    assert ControlInbox(tmp_path).poll() == []


def test_a_job_that_its_keeper_started_keeps_what_was_asked_since(tmp_path: Path) -> None:
    (tmp_path / "job.json").write_text(json.dumps({"child_pid": os.getpid(), "ended": None}))
    request(tmp_path, "stop")
    clear(tmp_path)
    assert [item.kind for item in ControlInbox(tmp_path).poll()] == ["stop"]


def test_without_a_folder_nothing_is_waiting(tmp_path: Path) -> None:
    assert ControlInbox(tmp_path).poll() == []
    clear(tmp_path)
