"""``dataset notes``: what a person says of images, and that the other commands obey it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lora_tui.cli.main import run
from lora_tui.dataset.buckets import Box, Size
from lora_tui.dataset.notes import Crop, change_notes
from lora_tui.dataset.scan import scan_folder


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    folder = tmp_path / "set"
    (folder / "sub").mkdir(parents=True)
    for number, name in enumerate(("a.png", "b.png", "sub/c.png")):
        Image.new("RGB", (600, 400), (number * 70, 9, 9)).save(folder / name)
        (folder / name).with_suffix(".txt").write_text("blurry" if name == "b.png" else "hatgirl")
    return folder


def notes(folder: Path, capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    capsys.readouterr()
    assert run(["dataset", "notes", str(folder), *words, "--json"]) == 0
    return dict(json.loads(capsys.readouterr().out))


def test_images_are_left_out_by_name_and_by_filter(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert notes(dataset, capsys)["excluded"] == []
    assert notes(dataset, capsys, "--where", "blurry", "--exclude")["excluded"] == ["b.png"]
    assert notes(dataset, capsys, "--image", "sub/c.png", "--exclude")["excluded"] == ["b.png", "sub/c.png"]
    capsys.readouterr()
    assert run(["dataset", "buckets", str(dataset), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["images"] == 1
    assert notes(dataset, capsys, "--image", "b.png", "--include")["excluded"] == ["sub/c.png"]
    assert run(["dataset", "notes", str(dataset)]) == 0
    assert "sub/c.png" in capsys.readouterr().out


def test_a_part_of_an_image_is_chosen_and_trained(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = notes(dataset, capsys, "--image", "a.png", "--crop", "10,10,512x384")
    assert told["crops"] == {"a.png": [10, 10, 512, 384]}
    capsys.readouterr()
    assert run(["dataset", "buckets", str(dataset), "--no-upscale", "--json"]) == 0
    buckets = {(row["width"], row["height"]): row["images"] for row in json.loads(capsys.readouterr().out)["buckets"]}
    assert buckets == {(512, 384): 1, (576, 384): 2}
    assert notes(dataset, capsys, "--image", "a.png", "--no-crop")["crops"] == {}


@pytest.mark.parametrize("crop", ["1,2,3", "0,0,601x400", "300,300,301x10", "0,0,0x5", "a,b,cxd", "-1,0,5x5"])
def test_a_part_that_is_none_is_refused(dataset: Path, capsys: pytest.CaptureFixture[str], crop: str) -> None:
    assert run(["dataset", "notes", str(dataset), "--image", "a.png", f"--crop={crop}"]) == 2
    assert not (dataset / ".lora-tui" / "dataset.toml").exists()


def test_source_licence_and_reviews_are_kept(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = notes(dataset, capsys, "--source", "my camera", "--licence", "CC BY 4.0")
    assert (told["source"], told["licence"]) == ("my camera", "CC BY 4.0")
    assert notes(dataset, capsys, "--image", "a.png", "--reviewed")["reviewed"] == ["a.png"]
    told = notes(dataset, capsys, "--image", "a.png", "--not-reviewed")
    assert (told["reviewed"], told["source"]) == ([], "my camera")


def test_filters_find_what_was_noted(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    notes(dataset, capsys, "--image", "a.png", "--exclude")
    notes(dataset, capsys, "--image", "b.png", "--crop", "10,10,512x384")
    notes(dataset, capsys, "--image", "sub/c.png", "--reviewed")

    def found(where: str) -> list[str]:
        capsys.readouterr()
        assert run(["captions", "list", str(dataset), "--where", where, "--json"]) == 0
        return [row["image"] for row in json.loads(capsys.readouterr().out)]

    assert found("is:excluded") == ["a.png"]
    assert found("-is:excluded") == ["b.png", "sub/c.png"]
    assert (found("is:cropped"), found("is:seen")) == (["b.png"], ["sub/c.png"])
    assert found("is:excluded OR is:seen") == ["a.png", "sub/c.png"]


def test_a_change_without_images_is_a_mistake(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["dataset", "notes", str(dataset), "--exclude"]) == 2
    assert "--image" in capsys.readouterr().err


def test_what_is_left_out_is_not_exported(dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    notes(dataset, capsys, "--image", "b.png", "--exclude")
    assert run(["captions", "export", str(dataset), str(tmp_path / "out.csv"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["images"], told["left_out"]) == (2, 1)
    assert [line.partition(",")[0] for line in (tmp_path / "out.csv").read_text().splitlines()] == [
        "image", "a.png", "sub/c.png",
    ]  # fmt: skip


def test_what_a_folder_below_notes_is_shown_and_taken_away_too(
    dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (dataset / "sub" / ".lora-tui").mkdir()
    crop = Crop(Box(0, 0, 400, 400), Size(600, 400))
    change_notes(dataset / "sub", lambda notes: notes.excluding("c.png").with_crop("c.png", crop))
    change_notes(dataset, lambda notes: notes.excluding("sub/c.png").reviewing("sub/c.png"))
    told = notes(dataset, capsys)
    assert (told["excluded"], told["crops"]) == (["sub/c.png"], {"sub/c.png": [0, 0, 400, 400]})
    assert notes(dataset, capsys, "--image", "sub/c.png", "--include")["excluded"] == []
    assert notes(dataset, capsys, "--image", "sub/c.png", "--not-reviewed")["reviewed"] == []
    told = notes(dataset, capsys, "--image", "sub/c.png", "--crop", "10,10,300x300")
    assert told["crops"] == {"sub/c.png": [10, 10, 300, 300]}
    assert [image.crop for image in scan_folder(dataset).images if image.crop] == [Box(10, 10, 310, 310)]
    assert notes(dataset, capsys, "--image", "sub/c.png", "--no-crop")["crops"] == {}
    assert notes(dataset, capsys, "--image", "sub/c.png", "--exclude")["excluded"] == ["sub/c.png"]
    assert len(scan_folder(dataset).images) == 2
