"""Looking through a dataset in a real terminal of 80x24, with keys alone; after each step what lies on disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support import until
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
    large = picture((700, 700), 3)
    for number in range(8):
        image = large.resize((520, 520)) if number == 3 else picture((520, 520), number)
        image.save(folder / f"{number}.png")
        (folder / f"{number}.txt").write_text("hatgirl, smile" if number % 2 else "hatgirl, hat", encoding="utf-8")
    large.save(folder / "3-large.png")
    (folder / "3-large.txt").write_text("hatgirl, smile, large", encoding="utf-8")
    return root


@pytest.fixture
def terminal(tmp_path: Path, project: Path) -> Iterator[Terminal]:
    with Terminal(tmp_path / "home") as opened:
        yield opened.start([*LORA_TUI, str(project)])


def test_a_dataset_is_looked_through_with_keys_alone(project: Path, terminal: Terminal) -> None:
    t, folder = terminal, project / "pictures"
    t.send("F2")
    t.wait_for("9 images")
    t.send("v")  # pictures side by side
    t.wait_for("▀▀▀▀")
    t.wait_for("1.png")

    t.send("/")
    t.type("smile -large")
    t.wait_for("4 images")
    t.send("Enter")
    assert "4 of 9" in t.wait_for("filter: smile -large")
    t.send("Escape")
    t.wait_gone("filter:")

    t.wait_gone("looking for damage")
    t.send("d")  # the review of duplicates
    t.wait_for("group 1 of 1")
    t.wait_for("more pixels")
    t.send("Enter")
    until(lambda: load_notes(folder).excluded == {"3.png"})
    t.wait_gone("more pixels")
    t.wait_for("1 left out")

    t.send("g", "Right", "x")  # the first row is the folder, of which there is something to say
    until(lambda: load_notes(folder).excluded == {"0.png", "3.png"})
    t.wait_for("1 image left out")
    t.send("End")  # what was done is said until the next key
    t.wait_for("2 left out")
    t.send("D")
    t.wait_for("Put 1 image into the trash?")
    t.send("Enter")
    until(lambda: not (folder / "7.png").exists() and not (folder / "7.txt").exists())
    t.wait_for("1 image in the trash")
    t.send("End")
    t.wait_for("6 images")

    t.send("Space", "x")
    t.wait_for("Empty the trash")
    t.send("Enter")
    until(lambda: (folder / "7.png").exists() and (folder / "7.txt").exists())
    t.wait_for("1 image brought back")
    t.send("End")
    t.wait_for("7 images")
    t.send("C-q")
    assert t.status() == 0
