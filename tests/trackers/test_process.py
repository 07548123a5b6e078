"""The process that tells others of a run: beside it, after it, and without hurting it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from run_builders import add_lines, end_all, events, launched, make_run, step_line, training
from support import until
from trackers.test_tensorboard import scalars

from lora_tui.python import python_command
from lora_tui.runs.folder import RunFolder
from lora_tui.trackers import process
from lora_tui.trackers.keys import find_key

WANDB = """
import json, os
from pathlib import Path
PLACE = Path(os.environ["TOLD"])
def _say(*what):
    with PLACE.open("a") as file:
        file.write(json.dumps(what) + "\\n")
def login(key, **_more):
    _say("login", len(key))
class Image:
    def __init__(self, path, caption=""):
        self.path = path
class Run:
    def define_metric(self, *_a, **_b):
        pass
    def log(self, values):
        if values.get("step") == 3 and os.environ.get("FAIL"):
            raise ConnectionError("no way to " + os.environ["WANDB_API_KEY"])
        _say("log", {name: value for name, value in values.items() if isinstance(value, (int, float))})
    def finish(self):
        _say("finish")
def init(**more):
    _say("init", more["id"], more["resume"], more["config"])
    return Run()
"""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    monkeypatch.setattr(process, "LINGER_SECONDS", 0.0)
    monkeypatch.setattr(process, "POLL_SECONDS", 0.01)
    made = make_run(tmp_path / "runs", "20260101-000000-told")
    add_lines(made, [step_line(step) for step in range(1, 5)])
    return made


@pytest.fixture
def wandb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A library of that name that writes down what it is told."""
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / "wandb.py").write_text(WANDB)
    monkeypatch.syspath_prepend(str(tmp_path / "library"))
    monkeypatch.delitem(sys.modules, "wandb", raising=False)
    monkeypatch.setenv("TOLD", str(tmp_path / "told"))
    monkeypatch.setenv("WANDB_API_KEY", "secret-of-somebody")
    return tmp_path / "told"


def ask(run: RunFolder, *lines: str) -> None:
    run.config_path.write_text("\n".join(["schema_version = 1", "[tracking]", *lines, "[network]", "rank = 8"]))


def test_a_run_that_asks_for_none_gets_none(run: RunFolder) -> None:
    assert process.start(run) is False
    assert process.start(RunFolder(run.root / "none")) is False


def test_a_living_run_is_followed_to_its_end_and_its_steps_do_not_wait(tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs", "20260101-000000-living")
    ask(run, "tensorboard = true")
    try:
        launched(run, "--steps", "40")
        training(run)
        code = "from lora_tui.trackers import process as p; p.LINGER_SECONDS = 0.1; p.POLL_SECONDS = 0.05; "
        code += "from lora_tui.runs.folder import RunFolder; from pathlib import Path; import sys; "
        code += "p.track(RunFolder(Path(sys.argv[1])))"
        result = subprocess.run(python_command("-c", code, str(run.root)), capture_output=True, timeout=60)
        assert result.returncode == 0, result.stderr
    finally:
        end_all(tmp_path)
    (path,) = (run.root / "tensorboard").iterdir()
    assert [step for step, _loss in scalars(path, "train/loss")] == [event["step"] for event in events(run, "step")]


def test_a_further_life_is_told_from_where_the_first_was_told(run: RunFolder) -> None:
    ask(run, "tensorboard = true")
    process.track(run)
    add_lines(run, [step_line(5), step_line(6)])
    process.track(run)
    first, second = sorted((run.root / "tensorboard").iterdir())
    assert [[s for s, _v in scalars(p, "train/loss")] for p in (first, second)] == [[1, 2, 3, 4], [5, 6]]


def test_weights_and_biases_is_told_and_the_key_is_in_no_file(run: RunFolder, wandb: Path) -> None:
    ask(run, "wandb = true")
    process.track(run)
    told = [json.loads(line) for line in wandb.read_text().splitlines()]
    assert told[0] == ["login", 18] and told[1][0] == "init" and told[1][3] == {"network.rank": 8}
    assert [one[1]["step"] for one in told if one[0] == "log"] == [1, 2, 3, 4] and told[-1] == ["finish"]
    files = [path for path in run.root.rglob("*") if path.is_file()]
    assert not any(b"secret-of-somebody" in path.read_bytes() for path in files)


def test_a_service_that_fails_is_told_once_without_the_key_and_the_other_goes_on(
    run: RunFolder, wandb: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAIL", "1")
    ask(run, "wandb = true", "tensorboard = true")
    process.track(run)
    (warning,) = events(run, "warning")
    assert warning["code"] == "tracking.wandb" and "no way to ***" in warning["message"]
    (path,) = (run.root / "tensorboard").iterdir()
    assert len(scalars(path, "train/loss")) == 4


def test_without_the_library_or_a_key_the_run_says_what_to_do(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    ask(run, "wandb = true")
    process.track(run)
    assert "pip install" in events(run, "warning")[0]["remedy"]


def test_keys_come_from_the_environment_then_the_keyring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    (tmp_path / "keyring.py").write_text("def get_password(a, b):\n    return f'{a} {b}'\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "keyring", raising=False)
    assert find_key("WANDB_API_KEY", "wandb") == "lora-tui wandb"
    monkeypatch.setenv("WANDB_API_KEY", "other")
    assert find_key("WANDB_API_KEY", "wandb") == "other"
    monkeypatch.delenv("WANDB_API_KEY")
    monkeypatch.setitem(sys.modules, "keyring", None)
    assert find_key("WANDB_API_KEY", "wandb") == ""


def test_it_is_started_where_it_is_asked_for(run: RunFolder) -> None:
    ask(run, "tensorboard = true")
    assert process.start(run)
    until(lambda: (run.root / "tracking.json").exists() and list((run.root / "tensorboard").iterdir()))


def test_that_nobody_can_be_told_is_a_warning_of_the_run(run: RunFolder) -> None:
    run.config_path.write_text("[tracking]\ntensorboard = true\n")
    (run.root / process.LOG).mkdir()
    assert not process.start(run)
    (warning,) = events(run, "warning")
    assert warning["code"] == "tracking.tensorboard" and "folder" in warning["message"]
