"""``runs set``, ``sample --prompt``, ``measure``, ``images``: what is asked of a living run, and what it measured."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from run_builders import end_all, launched, make_run, training
from support import until

from lora_tui.cli.main import run as command
from lora_tui.jobs.control import ControlInbox
from lora_tui.runs.folder import RunFolder


@pytest.fixture
def living(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunFolder]:
    """A run at work in the project of the current folder; its requests are read by the test."""
    (tmp_path / "project" / "runs").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "project")
    run = make_run(tmp_path / "project" / "runs", "20260102-000000-living", number=2)
    launched(run, "--steps", "100000")
    training(run, 10)
    yield run
    end_all(tmp_path)


def heard(run: RunFolder) -> list[tuple[str, str]]:
    """The requests that the run has answered."""
    lines = run.events_path.read_text("utf-8").splitlines()
    found = [json.loads(line) for line in lines if '"kind":"control"' in line and line.endswith("}")]
    return [(event["request"], event["status"]) for event in found]


def test_what_is_asked_says_all_of_it(living: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, dict[str, object]]] = []
    monkeypatch.setattr(
        "lora_tui.jobs.control.request", lambda root, kind, **fields: asked.append((kind, fields)) or root
    )
    assert command(["runs", "set", "living", "--learning-rate", "5e-5", "--steps", "900"]) == 0
    assert command(["runs", "sample", "living", "--prompt", "a hat --s 4", "--like", "2"]) == 0
    assert command(["runs", "sample", "living"]) == 0
    assert asked == [
        ("set", {"learning_rate": 5e-5, "total_steps": 900}),
        ("sample", {"prompt": "a hat --s 4", "like": 1}),
        ("sample", {}),
    ]


def test_a_living_run_hears_it(living: RunFolder) -> None:
    assert command(["runs", "measure", "living"]) == 0
    assert command(["runs", "set", "living", "--steps", "900"]) == 0
    until(lambda: {("measure", "done"), ("set", "done")} <= set(heard(living)))
    assert not ControlInbox(living.root).poll()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "Give --learning-rate, --steps or both."),
        (["--learning-rate", "-1"], "--learning-rate: A learning rate is a number above 0."),
        (["--learning-rate", "nan"], "--learning-rate: A learning rate is a number above 0."),
        (["--steps", "0"], "--steps: A number of steps is a whole number above 0."),
    ],
)
def test_what_cannot_be_is_refused_before_it_is_asked(
    arguments: list[str], words: str, living: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(["runs", "set", "living", *arguments]) == 2
    assert words in capsys.readouterr().err


def test_the_worst_images_are_listed_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run(tmp_path / "runs", "20260101-000000-done", number=1)
    assert command(["runs", "images", "1", "--dir", str(tmp_path)]) == 2
    assert "runs measure" in capsys.readouterr().err
    for step, losses in ((10, (0.1, 0.3)), (20, (0.2, 0.15))):
        images = [
            {"uid": f"0/{n}.png", "path": f"/x/{n}\x1b[31m.png", "levels": [loss]} for n, loss in enumerate(losses)
        ]
        path = run.root / "images" / f"{step:06d}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"version": 1, "step": step, "images": [*images, {"uid": 3}, "odd"]}))
    (run.root / "images" / "000030.json").write_text('{"version": 1, "images": [')
    assert command(["runs", "images", "1", "--step", "20", "--dir", str(tmp_path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [(image["loss"], round(image["change"], 6)) for image in told["images"]] == [(0.2, 0.1), (0.15, -0.15)]
    assert told["measured"] == [10, 20, 30]
    assert command(["runs", "images", "1", "--step", "20", "--dir", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert text.index("0.2000") < text.index("0.1500") and "\x1b" not in text
