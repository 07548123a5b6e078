"""Plans are carried out: right images, right companions, a true report, originals untouched."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from lora_tui.dataset.buckets import Box, Size
from lora_tui.dataset.notes import Crop, change_notes, load_notes
from lora_tui.dataset.prepare.options import Options
from lora_tui.dataset.scan import scan_folder

from .conftest import hashes, prepare, report, rows

MakeImage = Callable[..., Path]
Draw = Callable[..., Image.Image]


@pytest.mark.parametrize("form", ["png", "jpeg", "webp"])
def test_images_of_every_kind_become_rgb_of_allowed_sizes(tmp_path: Path, mixed: Path, form: str) -> None:
    before = hashes(tmp_path / "src")
    outcome = prepare(mixed, tmp_path / "dst", size=128, format=form, workers=2)
    assert outcome.complete
    assert outcome.failed == ()
    assert hashes(tmp_path / "src") == before, "the originals are only read"
    scan = scan_folder(tmp_path / "dst")
    assert len(scan.images) == 10
    for image in scan.images:
        width, height = image.facts.width, image.facts.height
        assert 128 in (width, height)
        assert (width % 64, height % 64) == (0, 0)
        assert image.facts.orientation == 1
        assert image.facts.format == {"png": "PNG", "jpeg": "JPEG", "webp": "WEBP"}[form]
        with Image.open(image.path) as picture:
            picture.load()
            assert picture.mode == "RGB"
            assert "icc_profile" not in picture.info
            assert not getattr(picture, "is_animated", False)


def test_the_report_is_what_lies_on_disk(tmp_path: Path, mixed: Path) -> None:
    (mixed / "plain" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    destination = tmp_path / "dst"
    outcome = prepare(mixed, destination, size=128, flips=True, background="random")
    told = report(destination)
    assert outcome.report == destination / ".lora-tui" / "prepare" / "report.json"
    assert told["complete"] is True
    assert told["options"] == Options(size=128, flips=True, background="random").as_dict()
    files = [file for row in told["images"] for file in row.get("files", ())]
    copies = [copy["name"] for row in told["images"] for copy in row.get("copies", ())]
    assert sorted([*(file["name"] for file in files), *copies]) == sorted(hashes(destination))
    for file in files:
        data = (destination / file["name"]).read_bytes()
        assert (len(data), hashlib.blake2b(data, digest_size=20).hexdigest()) == (file["bytes"], file["digest"])
        with Image.open(destination / file["name"]) as picture:
            assert picture.size == (file["width"], file["height"])
    assert rows(destination)["plain/broken.png"]["status"] == "refused"
    assert rows(destination)["10_hat/moving.gif"]["notes"] == ["animated"]
    table = list(csv.DictReader((destination / ".lora-tui" / "prepare" / "report.csv").open()))
    assert [row["file"] for row in table if row["file"]] == [file["name"] for file in files]


def test_captions_of_every_ending_go_along_byte_for_byte(tmp_path: Path, mixed: Path) -> None:
    prepare(mixed, tmp_path / "dst", size=128, flips=True, name="{number:03}_{stem}")
    source, made = mixed / "10_hat", tmp_path / "dst" / "10_hat"
    for ending in (".txt", ".caption", ".wd14.txt"):
        for copy in ("001_alpha", "001_alpha_flip"):
            assert (made / f"{copy}{ending}").read_bytes() == (source / f"alpha{ending}").read_bytes()
    assert not list(made.glob("*.npz")), "what was computed from other pixels is not theirs"


def test_a_longer_stem_has_its_own_captions(tmp_path: Path, make_image: MakeImage) -> None:
    make_image("src/a.png", 128, 128, caption="of a")
    make_image("src/a.b.png", 128, 128, seed=1, caption="of a.b")
    prepare(tmp_path / "src", tmp_path / "dst", size=128)
    captions = {path.name: path.read_text() for path in (tmp_path / "dst").glob("*.txt")}
    assert captions == {"a.txt": "of a", "a.b.txt": "of a.b"}


def test_masks_take_the_same_cut_and_keep_their_convention(tmp_path: Path, draw: Draw) -> None:
    """The mask is the image's own brightness, at half its size, so both must show the same place."""
    source = tmp_path / "src"
    (source / "masks").mkdir(parents=True)
    for name, mask in (("a.png", "a-masklabel.png"), ("b.png", "masks/b.png")):
        picture = draw(400, 200, 3)
        picture.save(source / name)
        picture.convert("L").resize((200, 100), Image.Resampling.BOX).save(source / mask)
    (source / "c.png").write_bytes((source / "a.png").read_bytes())
    prepare(source, tmp_path / "dst", size=128, shape="square", at="subject", flips=True, name="x_{stem}")
    made = hashes(tmp_path / "dst")
    assert set(made) == {
        "x_a.png", "x_a_flip.png", "x_a-masklabel.png", "x_a_flip-masklabel.png", "x_b.png", "x_b_flip.png",
        "masks/x_b.png", "masks/x_b_flip.png", "x_c.png", "x_c_flip.png",
    }  # fmt: skip
    from PIL import ImageChops, ImageStat

    for image, mask in (("x_a", "x_a-masklabel"), ("x_b_flip", "masks/x_b_flip")):
        with (
            Image.open(tmp_path / "dst" / f"{image}.png") as one,
            Image.open(tmp_path / "dst" / f"{mask}.png") as other,
        ):
            assert (other.mode, other.size) == ("L", (128, 128))
            assert ImageStat.Stat(ImageChops.difference(one.convert("L"), other)).mean[0] < 8
    assert [image.relative for image in scan_folder(tmp_path / "dst").images] == [
        "x_a.png", "x_a_flip.png", "x_b.png", "x_b_flip.png", "x_c.png", "x_c_flip.png",
    ]  # fmt: skip


def test_masks_of_a_folder_of_their_own_are_padded_with_nothing(tmp_path: Path, make_image: MakeImage) -> None:
    make_image("src/10_hat/a.png", 200, 100)
    (tmp_path / "m" / "10_hat").mkdir(parents=True)
    Image.new("L", (200, 100), 255).save(tmp_path / "m" / "10_hat" / "a.webp", lossless=True)
    prepare(tmp_path / "src", tmp_path / "dst", size=128, shape="square", fit="pad", masks=str(tmp_path / "m"))
    with Image.open(tmp_path / "dst" / "masks" / "10_hat" / "a.png") as mask:
        assert [mask.getpixel((64, row)) for row in (0, 31, 32, 95, 96)] == [0, 0, 255, 255, 0]


def test_folders_are_kept_left_out_or_named_for_kohya(tmp_path: Path, mixed: Path) -> None:
    names = {"keep": "10_hat/alpha.png", "flat": "alpha.png", "repeats": "3_hatgirl/alpha.png"}
    for folders, name in names.items():
        prepare(mixed, tmp_path / folders, size=128, folders=folders, repeats=3, label="hatgirl")
        assert (tmp_path / folders / name).exists()
    prepare(mixed, tmp_path / "own", size=128, folders="repeats")
    assert {path.name for path in (tmp_path / "own").iterdir()} == {".lora-tui", "10_hat", "1_plain"}


def test_crops_by_hand_and_exclusions_are_obeyed(tmp_path: Path, draw: Draw) -> None:
    source = tmp_path / "src"
    source.mkdir()
    picture = draw(400, 300, 6)
    for name in ("a.png", "b.png"):
        picture.save(source / name)
    crop = Crop(Box(50, 60, 178, 188), Size(400, 300))
    change_notes(
        source, lambda old: old.excluding("b.png").with_crop("a.png", crop).about(source="a book", licence="CC0")
    )
    prepare(source, tmp_path / "dst", size=128)
    assert set(hashes(tmp_path / "dst")) == {"a.png"}
    with Image.open(tmp_path / "dst" / "a.png") as made:
        assert made.tobytes() == picture.crop((50, 60, 178, 188)).tobytes()
    assert rows(tmp_path / "dst")["b.png"]["status"] == "left out"
    assert rows(tmp_path / "dst")["a.png"]["notes"] == ["crop"]
    notes = load_notes(tmp_path / "dst")
    assert (notes.source, notes.licence) == ("a book", "CC0")
    prepare(source, tmp_path / "whole", size=128, crops=False)
    assert rows(tmp_path / "whole")["a.png"]["files"][0]["box"] == [50, 0, 350, 300]
