"""Preparing a dataset in a real terminal of 80x24, with keys alone: looked through, cut, tagged, taken back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support import until
from tagger_builders import make_wd14
from terminal import LORA_TUI, Terminal
from tui.projects import picture

from lora_tui.dataset.notes import load_notes
from lora_tui.project import Project

pytestmark = pytest.mark.e2e


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "hat-girl"
    folder = root / "pictures"
    Project.create(root, name="Hat girl", purpose="character", trigger="hatgirl", datasets=[folder])
    folder.mkdir(exist_ok=True)
    for number in range(5):
        picture((520, 640), number).save(folder / f"{number}.png")
        (folder / f"{number}.txt").write_text("hatgirl, smile" if number % 2 else "hatgirl", encoding="utf-8")
    picture((520, 640), 3).resize((650, 800)).save(folder / "3-large.png")
    make_wd14(tmp_path / "models" / "wd-tiny")
    return root


@pytest.fixture
def terminal(tmp_path: Path, project: Path) -> Iterator[Terminal]:
    with Terminal(tmp_path / "home") as opened:
        yield opened.start([*LORA_TUI, str(project)])


def captions(folder: Path) -> dict[str, str]:
    return {path.stem: path.read_text("utf-8") for path in sorted(folder.glob("*.txt"))}


def test_a_dataset_is_cut_and_tagged_with_keys_alone(project: Path, terminal: Terminal) -> None:
    t, folder = terminal, project / "pictures"
    before, pictures = captions(folder), {path: path.read_bytes() for path in folder.glob("*.png")}
    t.send("F2")
    t.wait_for("6 images")
    t.wait_for("! 3.png")  # the checks have found that it is there twice

    t.send("d")  # duplicates side by side: the one with a caption stays
    t.wait_for("group 1 of 1")
    t.send("Enter")
    until(lambda: load_notes(folder).excluded == {"3-large.png"})
    t.wait_for("1 left out")

    t.send("Home", "Down", "c")  # cut by hand
    t.wait_for("moves by")
    t.send("3", "S-Left", "Down")
    until(lambda: load_notes(folder).crops)
    t.send("Escape")
    (crop,) = load_notes(folder).crops.values()
    assert (crop.box.right - crop.box.left) * 2 == (crop.box.bottom - crop.box.top) * 3 < 520 * 2
    t.wait_for("1 left out")

    t.send("t")
    t.wait_for("Tag with models")
    t.send("Enter")
    t.wait_for("Which model?")
    t.type("folder or")
    t.send("Enter")
    t.wait_for("The model's folder or file")
    t.type(str(project.parent / "models" / "wd-tiny"))
    t.send("Enter")
    t.wait_gone("The model's folder or file")
    t.wait_for("all: 5 images")
    t.send("Down", "Down", "Down", "Right", "Right", "Right")
    t.wait_for("add at the end")
    t.send("C-r")
    t.wait_for("images change", 60)
    assert captions(folder) == before

    t.send("]", "]", "]", "]", "]")  # 0.35 to 0.85, without the model
    until(lambda: "0.85" in next(line for line in t.screen().splitlines() if "general tags" in line))
    t.send("Enter")
    t.wait_for("5 captions written")
    after = captions(folder)
    assert after["1"].startswith("hatgirl, smile, 1girl")
    assert "3-large" not in after  # which is left out
    assert len(after) == 5 and all(text.startswith("hatgirl") and "1girl" in text for text in after.values())
    assert "long hair" not in "".join(after.values())

    t.send("u")
    until(lambda: captions(folder) == before)
    assert {path: path.read_bytes() for path in folder.glob("*.png")} == pictures
    t.send("C-q")
    assert t.status() == 0
