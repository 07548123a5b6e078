"""Cleaning a dataset with keys alone in a real terminal of 80x24; after each step the bytes on disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from support import until
from terminal import LORA_TUI, Terminal

from lora_tui.project import Project

pytestmark = pytest.mark.e2e

BEFORE = {
    "a": b"1girl, hat, black_hair, smile, [/x]\n",
    "b": b"hatgirl,  1girl, hat, black_hair, \xe5\xb8\xbd\xe5\xad\x90",
    "c": b"1girl, hat, solo, long hair, ^_^\r\n",
    "d": b"A girl with black hair wears a hat, smiling.\n",
    "e": b"1girl, black_hair, @_@, hat",
    "f": b"",
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "hat-girl"
    Project.create(root, name="Hat girl", purpose="character", trigger="hatgirl", datasets=[root / "pictures"])
    folder = root / "pictures"
    folder.mkdir(exist_ok=True)
    for number, (name, raw) in enumerate(BEFORE.items()):
        Image.new("RGB", (96, 64), (200, 40 * number, 90)).save(folder / f"{name}.png")
        (folder / f"{name}.txt").write_bytes(raw)
    return root


@pytest.fixture
def terminal(tmp_path: Path, project: Path) -> Iterator[Terminal]:
    with Terminal(tmp_path / "home") as opened:
        yield opened.start([*LORA_TUI, str(project)])


def on_disk(project: Path) -> dict[str, bytes]:
    return {name: (project / "pictures" / f"{name}.txt").read_bytes() for name in BEFORE}


def holds(project: Path, wanted: dict[str, bytes], terminal: Terminal) -> None:
    try:
        until(lambda: on_disk(project) == wanted, 15)
    except AssertionError:
        raise AssertionError(f"{on_disk(project)}\n{terminal.screen()}") from None


def test_a_dataset_is_cleaned_with_keys_alone(project: Path, terminal: Terminal) -> None:
    t, wanted = terminal, dict(BEFORE)
    t.wait_for("Dataset")

    t.send("F3", "/", "h", "a", "t", " ", "-", "s", "o", "l", "o", "Enter")  # typed before the screen is there
    t.wait_for("FILTER hat -solo")
    assert "3 of 6" in t.screen()
    holds(project, wanted, t)

    t.send("m", "m")
    t.wait_for("union of 2 marked")
    t.send("Tab")
    _to_tag(t, "smile")
    assert "1/2" in t.screen()
    t.send("t")
    wanted["b"] += b",  smile"  # with two blanks, as this file has them
    holds(project, wanted, t)

    _to_tag(t, "black_hair")
    t.send("R")
    t.wait_for("rename black_hair to")
    t.send("C-u")
    t.type("black hair")
    t.send("Enter")
    screen = t.wait_for("3 images  3 tags")
    assert "- black_hair" in screen
    assert "+ black hair" in screen
    holds(project, wanted, t)
    t.send("Enter")
    for name in "abe":
        wanted[name] = wanted[name].replace(b"black_hair", b"black hair")
    holds(project, wanted, t)

    t.send("M", "Escape")
    t.wait_for("FILTER none")
    t.send("T")
    t.wait_for("Trigger word")
    t.send("Enter")
    t.wait_for("apply")
    t.send("Enter")
    for name in "ac":
        wanted[name] = b"hatgirl, " + wanted[name]
    wanted["e"] = b"hatgirl, " + wanted["e"]
    wanted["d"] = b"hatgirl, " + wanted["d"]
    wanted["f"] = b"hatgirl"
    holds(project, wanted, t)

    t.send("Space", "p")
    t.wait_for("Prune assistant")
    t.send("Enter")
    t.wait_for("apply")
    t.send("Enter")
    pruned = wanted | {
        "a": wanted["a"].replace(b" black hair,", b""),
        "b": wanted["b"].replace(b" black hair,", b""),
        "e": wanted["e"].replace(b" black hair,", b""),
    }
    holds(project, pruned, t)

    for command in (":undo all", ":redo all", ":undo all"):  # each is typed while the one before is at work
        t.type(command)
        t.send("Enter")
    t.wait_for("undone in")
    holds(project, BEFORE, t)
    t.type(":redo all")
    t.send("Enter", "C-s")
    t.wait_for("Every change is on disk")
    holds(project, pruned, t)
    t.send("C-q")
    assert t.status() == 0


def _to_tag(terminal: Terminal, tag: str) -> None:
    """Move the cursor of the tags down to a tag."""
    terminal.send("g")
    for _step in range(12):
        try:
            until(lambda: f"▌   {tag}" in terminal.screen(), 0.5)
        except AssertionError:
            terminal.send("Down")
        else:
            return
    raise AssertionError(terminal.screen())


def test_what_is_typed_ahead_of_a_filter_is_done_after_it_and_loses_no_key(project: Path, terminal: Terminal) -> None:
    t, wanted = terminal, dict(BEFORE)
    t.send("F3")
    t.wait_for("FILTER none")
    t.type('/phrase:"black hair"')
    t.send("Enter")
    t.type("Aohwx woman")  # x, w, o and the others are keys of the editor, too
    t.send("Enter")
    wanted["d"] = b"A girl with black hair wears a hat, smiling., ohwx woman\n"
    holds(project, wanted, t)
    for keys in ("?", "C-p"):
        for _round in range(3):
            t.send(keys)
            t.type("edition")
            t.wait_for(" edition")
            t.send("Escape")
            t.wait_gone(" edition")
    holds(project, wanted, t)
