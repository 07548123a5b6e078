"""Images removed, moved and brought back, and a dataset in numbers, by the commands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lora_tui.cli.main import run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four images: red and its copy, blue twice as tall, green without a caption."""
    root = tmp_path / "set"
    (root / "3_cat").mkdir(parents=True)
    for name, colours, height, caption in (
        ("a", ("red", "white"), 64, "cat, from_behind, smile"),
        ("a copy", ("red", "white"), 64, "cat, from_behind"),
        ("b", ("blue", "yellow"), 128, "cat, from side"),
        ("c", ("green", "black"), 64, None),
    ):
        image = Image.new("RGB", (64, height), colours[0])
        for x in range(10, 40 + len(name)):
            for y in range(10, 30 + height // 8):
                image.putpixel(
                    (x, y + (x if name == "c" else 0) % 20), {"white": (255, 255, 255)}.get(colours[1], (x, 9, y))
                )
        image.save(root / "3_cat" / f"{name}.png")
        if caption is not None:
            (root / "3_cat" / f"{name}.txt").write_text(caption)
    return root


def asked(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, Any]:
    status = run([str(word) for word in words])
    text = capsys.readouterr().out
    return status, json.loads(text) if text.startswith(("{", "[")) else text


def names(root: Path) -> list[str]:
    return sorted(path.name for path in root.rglob("*") if path.is_file() and ".lora-tui" not in path.parts)


def test_images_that_a_filter_finds_go_to_the_trash_and_come_back(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = names(folder)
    status, done = asked(capsys, "dataset", "remove", folder, "--where", "smile", "--json")
    assert status == 0
    assert [pair["from"] for pair in done["files"]] == ["3_cat/a.png", "3_cat/a.txt"]
    assert names(folder) == [name for name in before if name not in ("a.png", "a.txt")]
    _status, listed = asked(capsys, "dataset", "trash", folder, "--json")
    assert [one["in_trash"] for one in listed] == [True]
    assert asked(capsys, "dataset", "restore", folder)[0] == 0
    assert names(folder) == before


def test_a_dry_run_moves_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = names(folder)
    _status, told = asked(capsys, "dataset", "remove", folder, "--where", "cat", "--dry-run")
    assert "3_cat/a copy.png" in told and "3 images would be moved" in told
    assert names(folder) == before


def test_images_move_to_another_folder(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("dataset", "move", folder, "--image", "3_cat/b.png", "--to", folder / "10_tall")
    assert asked(capsys, *arguments)[0] == 0
    assert (folder / "10_tall/b.png").exists() and (folder / "10_tall/b.txt").exists()
    assert not (folder / "3_cat/b.png").exists()


def test_what_was_not_moved_is_not_told_as_moved(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("dataset", "move", folder, "--image", "3_cat/b.png", "--to")
    assert asked(capsys, *arguments, folder / "3_cat") == (0, "The images lie there already; nothing is moved.\n")
    assert asked(capsys, "dataset", "trash", folder)[1] == "Nothing was moved here.\n"
    assert run([*map(str, arguments), ""]) == 2
    assert "it names no folder" in capsys.readouterr().err


def test_a_record_that_cannot_be_read_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked(capsys, "dataset", "remove", folder, "--image", "3_cat/c.png")
    path = folder / ".lora-tui/moves/1.json"
    path.write_text(path.read_text().replace('"created": ', '"created": 1e300, "was": '))
    assert run(["dataset", "trash", str(folder)]) == 0
    told = capsys.readouterr()
    assert "1.json cannot be read" in told.err and "3_cat/c.png" in told.out
    assert run(["dataset", "restore", str(folder)]) == 0
    assert (folder / "3_cat/c.png").exists()


def test_without_a_choice_nothing_is_removed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = names(folder)
    assert run(["dataset", "remove", str(folder)]) == 2
    assert "--where" in capsys.readouterr().err
    assert names(folder) == before


def test_the_trash_is_emptied_when_asked(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked(capsys, "dataset", "remove", folder, "--image", "3_cat/c.png")
    _status, told = asked(capsys, "dataset", "trash", folder, "--empty", "--json")
    assert told["freed"] > 0
    assert run(["dataset", "restore", str(folder), "1"]) == 2


def test_a_dataset_in_numbers(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _status, told = asked(capsys, "dataset", "stats", folder, "--json")
    tables = {table["name"]: {row["label"]: row["number"] for row in table["rows"]} for table in told["tables"]}
    assert told["images"] == 4
    assert sum(tables["buckets"].values()) == sum(tables["sides"].values()) == 4
    assert tables["epoch"] == {"3_cat, repeats 3": 12}
    assert tables["tags"] == {"1 – 4": 3}
    assert (tables["ratios"]["tall, 1:2"], tables["ratios"]["square"]) == (1, 3)


def test_coverage_names_what_no_image_shows(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _status, told = asked(capsys, "dataset", "coverage", folder, "--purpose", "character", "--json")
    view = next(aspect for aspect in told["aspects"] if aspect["name"] == "view")
    assert view == {
        "name": "view",
        "known": 3,
        "kinds": {"front": 0, "side": 1, "quarter": 0, "back": 2},
        "missing": ["front", "quarter"],
    }


def test_duplicates_are_groups(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "3_cat/again.png").write_bytes((folder / "3_cat/b.png").read_bytes())
    status, groups = asked(capsys, "dataset", "duplicates", folder, "--json")
    assert status == 3
    kinds = {group["kind"]: sorted(Path(path).name for path in group["images"]) for group in groups}
    assert kinds["identical"] == ["again.png", "b.png"]
