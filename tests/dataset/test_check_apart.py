"""The checks in a process of their own: they find the same, can be stopped, and do without the process."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from crashing import crash_over_images

from lora_tui.config.schema import Config
from lora_tui.dataset import check_apart
from lora_tui.dataset.check_apart import check_dataset_apart
from lora_tui.dataset.checks import check_dataset
from lora_tui.dataset.facts import ImageFacts
from lora_tui.dataset.scan import DatasetImage, Problem, Scan, scan_folder
from lora_tui.text import set_language

MakeImage = Callable[..., Path]


@pytest.fixture(autouse=True)
def small_sets_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_apart, "APART_FROM", 1)


@pytest.fixture
def motley(make_image: MakeImage, tmp_path: Path) -> Scan:
    """A dataset with problems of many kinds, names that are no Unicode among them."""
    make_image("a.png", caption="hatgirl, smile")
    make_image("b.png", caption="Hatgirl")
    make_image("caf\udce9.png", caption="")
    make_image("帽子.png")
    make_image("300_x/long.png", 640, 64, caption="smile， day")
    (tmp_path / "a.caption").mkdir()
    (tmp_path / "gone.txt").write_text("x")
    (tmp_path / "b.txt").write_bytes(b"\xff\xfe")
    (tmp_path / "broken.png").write_bytes(b"no image")
    return scan_folder(tmp_path)


def many(count: int) -> Scan:
    """Images without files: their captions cannot be read."""
    facts = ImageFacts(512, 512, "PNG", False, False, 1, 100, 7)
    found = []
    for number in range(count):
        path = Path(f"/nowhere/{number}.png")
        found.append(DatasetImage(path, path.name, 0, 1, facts, path.with_suffix(".txt")))
    return Scan(tuple(found), (Problem(Path("/nowhere/x"), "x", "it is x", "mend it", "warning"),))


@pytest.mark.parametrize("language", ["en", "zh_CN"])
def test_it_finds_what_the_checks_find_here_in_the_language_of_the_app(motley: Scan, language: str) -> None:
    set_language(language)
    config = Config()
    config.captions.extensions = [".txt", ".caption"]
    options = {"config": config, "purpose": "character", "trigger": "hatgirl"}
    found = check_dataset_apart(motley, **options)  # type: ignore[arg-type]
    assert found == check_dataset(motley, **options)  # type: ignore[arg-type]
    assert len({problem.code for problem in found}) > 6


def test_a_few_images_start_no_process(motley: Scan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_apart, "APART_FROM", 100)
    monkeypatch.setattr(check_apart, "python_command", lambda *_arguments: ["/nowhere/python"])
    assert check_dataset_apart(motley, config=Config()) == check_dataset(motley, config=Config())


class Turn:
    """Counts how often it was had, and says whether it is."""

    def __init__(self) -> None:
        self.had = 0
        self.is_had = False

    def __enter__(self) -> None:
        assert not self.is_had
        self.had += 1
        self.is_had = True

    def __exit__(self, *_error: object) -> None:
        self.is_had = False


def test_the_turn_is_had_for_what_is_computed_here_and_not_while_the_process_works(motley: Scan) -> None:
    turn = Turn()
    seen: list[bool] = []

    def stop() -> bool:
        seen.append(turn.is_had)
        return False

    found = check_dataset_apart(motley, config=Config(), turn=turn, should_stop=stop)
    assert found == check_dataset(motley, config=Config())
    assert (turn.had, turn.is_had) == (2, False)
    assert seen[0]  # the request is made
    assert not seen[-1]  # the answer is waited for


@pytest.mark.parametrize("after", [0, 3, 161])
def test_it_can_be_stopped_and_leaves_no_process(after: int) -> None:
    asked = 0

    def stop() -> bool:
        nonlocal asked
        asked += 1
        return asked > after

    scan = many(20_000)  # 160 questions while they are sent
    assert check_dataset_apart(scan, config=Config(), should_stop=stop) == scan.problems
    living = [child for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE]
    assert not [child for child in living if "check_apart" in " ".join(child.cmdline())]


@pytest.mark.parametrize(
    "command",
    [["/nowhere/python"], [sys.executable, "-c", "raise SystemExit(3)"], [sys.executable, "-c", "print('[]')"]],
)
def test_a_process_that_fails_is_done_without(
    motley: Scan, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.setattr(check_apart, "python_command", lambda *_arguments: command)
    assert check_dataset_apart(motley, config=Config()) == check_dataset(motley, config=Config())


def test_many_images_go_through() -> None:
    scan = many(3000)
    found = check_dataset_apart(scan, config=Config())
    assert len(found) == 3001 and {problem.code for problem in found} == {"caption.unreadable", "x"}


def test_what_taggers_tell_is_told_to_the_process() -> None:
    scan = many(12)
    told = {image.path: ["from behind"] for image in scan.images[:3]}
    found = check_dataset_apart(scan, config=Config(), purpose="character", told=told)
    (missing,) = (problem for problem in found if problem.code == "set.missing")
    assert "view: front" in missing.message and "view: back" not in missing.message


def test_images_that_take_the_process_along_are_named_and_the_others_are_checked(
    make_image: MakeImage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check_apart, "DECODED_APART_FROM", 1)
    crash_over_images(monkeypatch, tmp_path / "hook", "lora_tui.dataset.check_apart")
    for name in ("a", "crash 1", "crash 2", "same", "same too"):
        make_image(f"data/{name}.png", 64, 64, caption="x", seed=len(name) if name[0] == "c" else ord(name[0]))
    found = check_dataset_apart(scan_folder(tmp_path / "data"), config=Config(), decode=True)
    assert [problem.path.stem for problem in found if problem.code == "image.crashed"] == ["crash 1", "crash 2"]
    assert [problem.path.stem for problem in found if problem.code == "image.identical"] == ["same too"]


def test_what_a_signal_ended_is_not_tried_in_the_app(motley: Scan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_apart, "DECODED_APART_FROM", 1)
    command = [sys.executable, "-c", "import os; os.abort()"]
    monkeypatch.setattr(check_apart, "python_command", lambda *_arguments: command)
    for decode in (False, True):
        found = check_dataset_apart(motley, config=Config(), decode=decode)
        assert len(found) == len(motley.problems) + 1
        assert "check.died" in {problem.code for problem in found}
