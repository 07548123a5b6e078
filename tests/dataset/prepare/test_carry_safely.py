"""Preparations overwrite nothing, refuse places that make no sense, and name what cannot be made."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from lora_tui.dataset.prepare.carry import Progress, carry_out, check_places
from lora_tui.dataset.prepare.options import Options
from lora_tui.dataset.prepare.plan import make_plan
from lora_tui.errors import UserError

from .conftest import hashes, prepare, rows

MakeImage = Callable[..., Path]
Draw = Callable[..., Image.Image]


def test_a_file_that_comes_between_is_never_overwritten(tmp_path: Path, make_image: MakeImage) -> None:
    for number in range(6):
        make_image(f"src/{number}.png", 128, 128, seed=number)
    plan, destination = make_plan(tmp_path / "src", Options(size=128)), tmp_path / "dst"
    stopped: list[Progress] = []
    carry_out(plan, destination, workers=1, on_progress=stopped.append, should_stop=lambda: len(stopped) > 1)
    missing = next(item.key for item in reversed(plan.items) if not (destination / item.key).exists())
    (destination / missing).write_text("mine")
    for _turn in range(2):
        outcome = carry_out(plan, destination, workers=1)
        assert [(problem.path.name, problem.code) for problem in outcome.failed] == [(missing, "prepare.taken")]
        assert (destination / missing).read_text() == "mine"
    assert rows(destination)[missing]["status"] == "failed"
    (destination / missing).unlink()
    assert carry_out(plan, destination, workers=1).failed == ()


@pytest.mark.parametrize("name", ["mine.txt", ".hidden", "folder/a.png"])
def test_a_folder_with_other_files_is_not_prepared_into(tmp_path: Path, make_image: MakeImage, name: str) -> None:
    make_image("src/a.png", 128, 128)
    other = tmp_path / "dst" / name
    other.parent.mkdir(parents=True)
    other.write_text("mine")
    with pytest.raises(UserError) as raised:
        prepare(tmp_path / "src", tmp_path / "dst", size=128)
    assert raised.value.code == "prepare.not_empty"
    assert hashes(tmp_path / "dst") == {name: hashlib.sha256(b"mine").hexdigest()}


def test_a_destination_that_is_a_file_or_cannot_be_made(tmp_path: Path, make_image: MakeImage) -> None:
    make_image("src/a.png", 128, 128)
    (tmp_path / "file").write_text("x")
    for place in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/none")):
        with pytest.raises(UserError) as raised:
            prepare(tmp_path / "src", place, size=128)
        assert raised.value.code in ("prepare.not_empty", "prepare.write")
        assert str(place) in raised.value.place


def test_another_preparation_is_not_mixed_with_this_one(tmp_path: Path, make_image: MakeImage) -> None:
    make_image("src/a.png", 256, 256)
    make_image("other/a.png", 256, 256)
    prepare(tmp_path / "src", tmp_path / "dst", size=128)
    for source, options, named in (("src", {"size": 192}, "size"), ("other", {"size": 128}, "source")):
        with pytest.raises(UserError, match=named) as raised:
            prepare(tmp_path / source, tmp_path / "dst", **options)
        assert raised.value.code == "prepare.other"


def test_source_and_destination_may_not_lie_in_each_other(tmp_path: Path, make_image: MakeImage) -> None:
    make_image("set/src/a.png")
    source = tmp_path / "set" / "src"
    (tmp_path / "link").symlink_to(tmp_path / "set")
    for destination in (
        source,
        source / "new",
        source / "new" / "deep",
        tmp_path / "set",
        tmp_path / "link" / "src" / "x",
    ):
        with pytest.raises(UserError) as raised:
            check_places(source, destination)
        assert raised.value.code == "prepare.places"
        with pytest.raises(UserError):
            prepare(source, destination, size=64)
    check_places(source, tmp_path / "set" / "src2")
    assert set(hashes(tmp_path)) == {"set/src/a.png"}


def test_a_source_that_links_into_the_destination_is_refused(tmp_path: Path, make_image: MakeImage) -> None:
    make_image("src/a.png", 128, 128)
    make_image("dst/sub/b.png", 128, 128)
    (tmp_path / "src" / "link").symlink_to(tmp_path / "dst" / "sub")
    with pytest.raises(UserError) as raised:
        prepare(tmp_path / "src", tmp_path / "dst", size=128)
    assert raised.value.code == "prepare.places"


def test_bad_images_are_named_and_the_others_are_made(tmp_path: Path, make_image: MakeImage) -> None:
    source = tmp_path / "src"
    make_image("src/good.png", 200, 128)
    make_image("src/cut.png", 200, 128)
    whole = (source / "cut.png").read_bytes()
    (source / "cut.png").write_bytes(whole[: len(whole) // 2])
    (source / "bomb.png").write_bytes(whole[:16] + (60_000).to_bytes(4, "big") * 2 + whole[24:])
    jpeg = make_image("src/torn.jpg", 800, 600, quality=90).read_bytes()
    (source / "torn.jpg").write_bytes(jpeg[: len(jpeg) // 3])
    (source / "rotten.png").write_bytes(whole[:200] + bytes(100) + whole[300:])  # which only decoding tells
    (source / "loop").symlink_to("loop")
    (source / "loop.png").symlink_to("loop.png")
    (source / "again").symlink_to(source)
    os.mkfifo(source / "pipe.png")
    (source / "text.jpg").write_text("no image")
    outcome = prepare(source, tmp_path / "dst", size=128)
    assert outcome.complete
    found = rows(tmp_path / "dst")
    assert {name: row["status"] for name, row in found.items() if row["status"] == "done"} == {"good.png": "done"}
    bad = {name: (row["code"], bool(row["remedy"])) for name, row in found.items() if row["status"] != "done"}
    assert bad["bomb.png"] == ("image.too_large", True)
    assert bad["cut.png"] == ("image.damaged", True)
    assert bad["torn.jpg"] == ("image.damaged", True)
    assert bad["rotten.png"] == ("image.damaged", True)
    assert found["rotten.png"]["status"] == "failed"
    assert [problem.path.name for problem in outcome.failed] == ["rotten.png"]
    assert bad["text.jpg"] == ("image.invalid", True)
    assert bad["pipe.png"][1]
    assert bad["loop.png"][1]


def test_a_decoder_that_takes_its_process_along_costs_one_image(tmp_path: Path, make_image: MakeImage) -> None:
    """A process that is killed over an image is replaced; the image is named and the rest is made."""
    for number in range(5):
        make_image(f"src/{number}.png", 128, 128, seed=number)
    plan = make_plan(tmp_path / "src", Options(size=128))
    killed: list[int] = []

    def tell(now: Progress) -> None:
        import psutil

        for child in psutil.Process().children() if now.fresh == 1 and not killed else ():
            killed.append(child.pid)
            child.kill()

    outcome = carry_out(plan, tmp_path / "dst", workers=1, on_progress=tell)
    assert outcome.complete
    assert [problem.code for problem in outcome.failed] == ["image.crashed"]
    assert len(hashes(tmp_path / "dst")) == 4
    assert carry_out(plan, tmp_path / "dst", workers=1).failed == ()
    assert len(hashes(tmp_path / "dst")) == 5


def test_two_preparations_do_not_share_a_folder(
    tmp_path: Path, make_image: MakeImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_image("src/a.png", 128, 128)
    from lora_tui.dataset.prepare import work

    monkeypatch.setattr(work, "PATIENCE", 0.0)
    plan = make_plan(tmp_path / "src", Options(size=128))
    with work.Work(tmp_path / "dst", plan), pytest.raises(UserError) as raised:
        carry_out(plan, tmp_path / "dst")
    assert raised.value.code == "prepare.busy"


def test_names_that_are_no_utf8_survive(tmp_path: Path, draw: Draw) -> None:
    source = tmp_path / "src"
    source.mkdir()
    name = os.fsdecode(b"caf\xe9.png")
    draw(128, 128).save(source / name)
    (source / name).with_suffix(".txt").write_text("x")
    outcome = prepare(source, tmp_path / "dst", size=128)
    assert outcome.failed == ()
    made = {path.name for path in (tmp_path / "dst").iterdir()} - {".lora-tui"}
    assert {os.fsencode(one) for one in made} == {b"caf\xe9.png", b"caf\xe9.txt"}
    assert prepare(source, tmp_path / "dst", size=128).progress.fresh == 0


def test_a_source_that_vanishes_is_named(tmp_path: Path, make_image: MakeImage) -> None:
    make_image("src/a.png", 128, 128)
    make_image("src/b.png", 128, 128, caption="x")
    plan = make_plan(tmp_path / "src", Options(size=128))
    shutil.rmtree(tmp_path / "src")
    outcome = carry_out(plan, tmp_path / "dst", workers=1)
    assert {problem.code for problem in outcome.failed} == {"image.unreadable", "prepare.companion"}
    with pytest.raises(UserError) as raised:
        make_plan(tmp_path / "src", Options())
    assert raised.value.code == "dataset.missing"
