"""Which files the caption commands write and which they never do; what the exported files are for their readers."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from caption_folders import contents, make_folder
from PIL import Image

from lora_tui.cli.main import run

BIG = "a" * 900_000


def told(capsys: pytest.CaptureFixture[str], *argv: object, status: int = 0):
    """The JSON document of ``captions ARGV --json``."""
    capsys.readouterr()
    assert run(["captions", *map(str, argv), "--json"]) == status
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("ending", ["png", ".JPG", ".safetensors", ".npz", "a/b", ".toml", ".txt,.webp"])
def test_images_and_other_files_are_no_captions_whatever_is_asked(
    tmp_path: Path, ending: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_folder(tmp_path, {"a": "x"})
    before = contents(folder)
    for command in (("edit", folder, "--do", "add y"), ("lint", folder), ("list", folder), ("prune", folder)):
        error = told(capsys, *command, "--extensions", ending, status=2)["error"]
        assert error["code"] in ("captions.ending", "prune.purpose")
    assert contents(folder) == before


@pytest.mark.parametrize("name", ["a.png", "a.txt", "new.webp", "link.csv"])
def test_an_export_never_takes_the_place_of_an_image_or_a_caption(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_folder(tmp_path, {"a": "x"})
    (folder / "link.csv").symlink_to(folder / "a.txt")
    before = contents(folder)
    error = told(capsys, "export", folder, folder / name, "--format", "csv", status=2)["error"]
    assert (error["code"], contents(folder)) == ("captions.export", before)


def loaded_by_sd_scripts(metadata: Path, image_dir: Path) -> dict[str, Path | None]:
    """The image that sd-scripts' loader of metadata finds for each key: itself, or with each ending that it knows."""
    found: dict[str, Path | None] = {}
    for key in json.loads(metadata.read_text()):
        places = [Path(key), *(image_dir / (key + ending) for ending in (".png", ".jpg", ".jpeg", ".webp", ".bmp"))]
        found[key] = next((place for place in places if place.is_file()), None)
    return found


@pytest.mark.parametrize("option", [[], ["--full-path"]])
def test_every_image_of_an_exported_metadata_file_is_found_by_sd_scripts(
    tmp_path: Path, option: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_folder(tmp_path / "data", {"a": "x", "10_hat/000_v1.5": "y", "10_hat/b": "z"})
    Image.new("RGB", (8, 8)).save(folder / "a.jpg")
    told(capsys, "export", folder, tmp_path / "meta.json", *option)
    found = loaded_by_sd_scripts(tmp_path / "meta.json", folder)
    assert set(found.values()) == {*folder.rglob("*.png"), *folder.rglob("*.jpg")}


def test_a_csv_names_images_with_their_endings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make_folder(tmp_path / "data", {"a": "x, y"})
    told(capsys, "export", folder, tmp_path / "out.csv")
    assert list(csv.reader(io.StringIO((tmp_path / "out.csv").read_text())))[1] == ["a.png", "x, y"]


@pytest.mark.parametrize("operation", ["take b.png append", "add from LIST"])
def test_no_edit_makes_a_caption_that_is_too_large_to_be_read_again(
    tmp_path: Path, operation: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_folder(tmp_path / "data", {"a": BIG, "b": f"b, {BIG}b"})
    (tmp_path / "list").write_text(f"{BIG}b\n{BIG}c")
    before, do = contents(folder), operation.replace("LIST", f"'{tmp_path}/list'")
    (refused,) = told(capsys, "edit", folder, "--image", "a.png", "--do", do, status=1)["refused"]
    assert (refused["code"], refused["place"]) == ("caption.too_large", "a.txt")
    assert refused["remedy"]
    assert contents(folder) == before


@pytest.mark.parametrize(("kind", "remedy"), [("large", "shorten"), ("folder", "Rename it")])
def test_what_cannot_be_read_as_a_caption_says_what_to_do(
    tmp_path: Path, kind: str, remedy: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_folder(tmp_path, {"a": None})
    if kind == "large":
        (folder / "a.caption").write_bytes(b"a" * 2_000_000)
    else:
        (folder / "a.caption").mkdir()
        (folder / "a.txt").symlink_to("a.caption")
    (error,) = told(capsys, "edit", folder, "--do", "add x", status=1)["refused"]
    assert remedy in error["remedy"]


def test_a_review_says_what_was_not_looked_at_and_writes_no_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_folder(tmp_path, {"a": "x", "b": "a" * 2_000_000})
    done = told(capsys, "review", folder, status=1)
    assert [error["place"].endswith("b.txt") for error in done["refused"]] == [True]
    assert done["transactions"][0]["files"] == 1
    assert run(["captions", "review", str(folder), "--image", "a"]) == 0
    said = capsys.readouterr().out
    assert "1 caption" in said and "written" not in said
