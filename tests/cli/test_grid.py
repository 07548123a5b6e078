"""``grid plan|run|show``: what they print, and how they end; nothing is drawn here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lora_tui.cli.main import WRONG, run
from lora_tui.config.schema import Config, SamplePrompt
from lora_tui.config.write import save_config
from lora_tui.demo.project import MICRO
from lora_tui.grids.ask import Wanted, asked, made
from lora_tui.grids.folder import GridFolder


@pytest.fixture
def config(tmp_path: Path) -> Path:
    found = Config()
    found.model.base = str(MICRO)
    found.samples = [
        SamplePrompt(prompt="a cat", width=64, height=64, negative="dust"),
        SamplePrompt(prompt="a dog", width=64, height=64),
    ]
    save_config(found, tmp_path / "small.toml")
    return tmp_path / "small.toml"


def test_a_plan_is_told_as_json_without_writing_anything(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["grid", "plan", str(config), "--x", "seed=1-3", "--y", "steps=1,2", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["cells"], told["pictures"], told["bases"], told["texts"], told["steps"]) == (12, 12, 1, 4, 18)
    assert [axis["kind"] for axis in told["axes"]] == ["seed", "steps", "prompt"]
    assert sorted(path.name for path in config.parent.iterdir()) == ["small.toml"]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--x", "strength=0-1 [6]"], "grid.no_lora"),
        (["--x", "seed=9-1 (+2)"], "grid.value"),
        (["--x", "seed=1", "--steps", "0"], "grid.value"),
        (["--size", "big"], "grid.value"),
        (["--set", "memory.device"], "usage"),
        (["--x", "seed=1-3000"], "grid.large"),
    ],
)
def test_what_is_wrong_is_one_line_and_no_folder(
    config: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: str
) -> None:
    assert run(["grid", "run", str(config), *words, "--json"]) == WRONG
    assert json.loads(capsys.readouterr().out)["error"]["code"] == code
    assert not (config.parent / "grids").exists()


def test_a_grid_is_shown_by_a_part_of_its_name(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = made(asked(Wanted(str(config), axes=(("--x", "seed=1,2"),))), name="my [/x] \x1b[31mgrid")
    folder.note_failures({next(iter(_keys(folder))): {"message": "no room", "place": "", "remedy": "", "code": "x"}})
    assert run(["grid", "show", folder.root.name[-4:], "--dir", str(config.parent), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["drawn"], told["failed"], told["waiting"]) == (0, 1, 3)
    assert len(told["cells"]) == 4 and {"seed", "prompt"} <= set(told["cells"][0]["axes"])
    assert run(["grid", "show", "--dir", str(config.parent), "--cells"]) == 0
    shown = capsys.readouterr().out
    assert "no room" in shown and "\x1b" not in shown
    assert run(["grid", "show", "other", "--dir", str(config.parent)]) == WRONG


def _keys(folder: GridFolder) -> list[str]:
    grid = folder.read()
    return list(folder.keys(grid.cell(place) for place in grid.places()).values())


def test_a_damaged_grid_says_so(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = made(asked(Wanted(str(config), axes=(("--x", "seed=1,2"),))))
    for damage in (b"{", b'{"format": 99}', b'{"format": 1, "axes": 3}', b'{"format": "x"}'):
        (folder.root / "grid.json").write_bytes(damage)
        assert run(["grid", "show", str(folder.root)]) == WRONG
        assert "Traceback" not in capsys.readouterr().err
