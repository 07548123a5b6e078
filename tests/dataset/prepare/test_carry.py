"""Plans are carried out: right images, right companions, a true report, originals untouched; to be gone on with."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lora_tui.dataset.buckets import Box, Size
from lora_tui.dataset.notes import Crop, change_notes, load_notes
from lora_tui.dataset.prepare.carry import Progress, carry_out, check_places
from lora_tui.dataset.prepare.options import Options
from lora_tui.dataset.prepare.plan import make_plan
from lora_tui.dataset.scan import scan_folder
from lora_tui.errors import UserError

from .conftest import hashes, prepare

MakeImage = Callable[..., Path]
Draw = Callable[..., Image.Image]


def report(destination: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((destination / ".lora-tui" / "prepare" / "report.json").read_text())
    return found


def rows(destination: Path) -> dict[str, dict[str, Any]]:
    return {row["image"]: row for row in report(destination)["images"]}


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


def test_stopped_anywhere_and_gone_on_with_gives_the_same_bytes(tmp_path: Path, mixed: Path) -> None:
    options = Options(size=128, flips=True, at="subject", background="random")
    plan = make_plan(mixed, options)
    whole = carry_out(plan, tmp_path / "whole", workers=1)
    assert whole.complete
    seen: list[Progress] = []
    while True:
        start = len(seen)
        outcome = carry_out(
            plan,
            tmp_path / "parts",
            workers=1,
            on_progress=seen.append,
            should_stop=lambda at=start: len(seen) > at + 2,
        )
        assert outcome.progress.total == len(plan.items)
        if outcome.complete:
            break
        assert report(tmp_path / "parts")["complete"] is False
        assert {row["status"] for row in report(tmp_path / "parts")["images"]} <= {"done", "waiting"}
    assert sum(progress.fresh == 0 for progress in seen) > 2, "it took several runs"
    assert hashes(tmp_path / "parts") == hashes(tmp_path / "whole")
    assert report(tmp_path / "parts")["images"] == report(tmp_path / "whole")["images"]


def test_killed_anywhere_and_gone_on_with_gives_the_same_bytes(tmp_path: Path, make_image: MakeImage) -> None:
    for number in range(30):
        make_image(f"src/{number}.png", 260, 200, seed=number, caption=str(number))
    whole = tmp_path / "whole"
    prepare(tmp_path / "src", whole, size=192)
    program = (
        "import os, signal, sys\nfrom pathlib import Path\n"
        "from lora_tui.dataset.prepare.carry import carry_out\n"
        "from lora_tui.dataset.prepare.options import Options\n"
        "from lora_tui.dataset.prepare.plan import make_plan\n"
        "def tell(now):\n"
        "    if now.fresh >= 4: os.kill(os.getpid(), signal.SIGKILL)\n"
        "carry_out(make_plan(Path(sys.argv[1]), Options(size=192)), Path(sys.argv[2]), on_progress=tell)\n"
    )
    parts, turns = tmp_path / "parts", 0
    while True:
        command = [sys.executable, "-c", program, str(tmp_path / "src"), str(parts)]
        status = subprocess.run(command, check=False, timeout=120).returncode
        if status == 0:
            break
        assert status == -signal.SIGKILL
        turns += 1
    assert turns >= 4
    assert hashes(parts) == hashes(whole), "nothing is missing, torn or left over"
    prepare(tmp_path / "src", parts, size=192)
    assert report(parts)["images"] == report(whole)["images"]


def test_what_is_done_is_not_done_again_unless_its_original_changed(tmp_path: Path, make_image: MakeImage) -> None:
    first, second = (make_image(f"src/{name}.png", 128, 128, seed=1, caption="x") for name in "ab")
    destination = tmp_path / "dst"
    prepare(tmp_path / "src", destination, size=128)
    times = {path.name: path.stat().st_mtime_ns for path in destination.glob("*")}
    assert prepare(tmp_path / "src", destination, size=128).progress.fresh == 0
    make_image("src/c.png", 128, 128, seed=3)
    make_image("src/b.png", 128, 128, seed=9)
    first.with_suffix(".txt").write_text("other words")
    outcome = prepare(tmp_path / "src", destination, size=128)
    assert outcome.progress.fresh == 3
    assert (destination / "b.png").read_bytes() != (destination / "a.png").read_bytes()
    assert (destination / "a.txt").read_text() == "other words"
    assert (destination / "b.png").stat().st_mtime_ns != times["b.png"]
    assert second.exists()


def test_what_somebody_changed_since_is_left_alone(tmp_path: Path, make_image: MakeImage) -> None:
    make_image("src/a.png", 128, 128, caption="x")
    destination = tmp_path / "dst"
    prepare(tmp_path / "src", destination, size=128)
    (destination / "a.txt").write_text("cleaned by hand")
    for turn in (1, 2):
        make_image("src/a.png", 128, 128, seed=turn)
        outcome = prepare(tmp_path / "src", destination, size=128)
        assert outcome.kept == ("a.txt",)
        assert (destination / "a.txt").read_text() == "cleaned by hand"
        assert rows(destination)["a.png"]["copies"] == [{"name": "a.txt", "kept": True}]


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


def test_a_disk_that_is_full_in_the_middle_can_be_gone_on_from(
    tmp_path: Path, make_image: MakeImage, draw: Draw
) -> None:
    """Files may grow no further than some bytes, as on a disk that is full: small images fit, one does not."""
    for number in range(4):
        make_image(f"src/{number}.png", 128, 128, seed=number)
    noise = Image.frombytes("RGB", (256, 256), os.urandom(256 * 256 * 3))
    noise.save(tmp_path / "src" / "5.png")
    program = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, {resource_infinity()}))\n"
        "from lora_tui.cli.main import run; sys.exit(run(sys.argv[1:]))"
    )
    arguments = ["dataset", "prepare", str(tmp_path / "src"), str(tmp_path / "dst"), "--size", "128", "--split", "1.5"]
    arguments += ["--shape", "square", "--small", "keep", "--size", "256", "--workers", "1", "--json"]
    limited = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False, timeout=120
    )
    assert limited.returncode == 2, limited.stderr
    error = json.loads(limited.stdout)["error"]
    assert (error["code"], bool(error["remedy"])) == ("prepare.disk", True)
    assert str(tmp_path / "dst") in error["place"]
    assert set(hashes(tmp_path / "dst")) <= {f"{number}.png" for number in range(4)}
    from lora_tui.cli.main import run

    assert run([*arguments]) == 0
    assert set(hashes(tmp_path / "dst")) == {f"{number}.png" for number in (0, 1, 2, 3, 5)}


def resource_infinity() -> int:
    import resource

    return resource.RLIM_INFINITY


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


def test_a_torn_last_line_of_the_work_file_is_no_trouble(tmp_path: Path, make_image: MakeImage) -> None:
    for number in range(3):
        make_image(f"src/{number}.png", 128, 128, seed=number)
    prepare(tmp_path / "src", tmp_path / "dst", size=128)
    before = hashes(tmp_path / "dst")
    path = tmp_path / "dst" / ".lora-tui" / "prepare" / "work.jsonl"
    path.write_bytes(path.read_bytes()[:-20])
    outcome = prepare(tmp_path / "src", tmp_path / "dst", size=128)
    assert (outcome.failed, outcome.progress.fresh) == ((), 1)
    assert hashes(tmp_path / "dst") == before
    path.write_text('{"head": 3}\n')
    with pytest.raises(UserError) as raised:
        prepare(tmp_path / "src", tmp_path / "dst", size=128)
    assert raised.value.code == "prepare.damaged"


def test_a_work_file_that_nobody_of_us_wrote_is_refused(tmp_path: Path, make_image: MakeImage) -> None:
    make_image("src/a.png", 128, 128)
    prepare(tmp_path / "src", tmp_path / "dst", size=128)
    path = tmp_path / "dst/.lora-tui/prepare/work.jsonl"
    head, record = path.read_text().splitlines()
    bad = [record.replace('"source"', '"other"'), "[" * 300_000]
    bad += [record.replace('"name": "a.png"', f'"name": "{name}"') for name in ("a\\u0000", "../a", "/a", "\\ud800")]
    for line in bad:
        path.write_text(f"{head}\n{line}\n")
        with pytest.raises(UserError) as raised:
            prepare(tmp_path / "src", tmp_path / "dst", size=128)
        assert raised.value.code == "prepare.damaged"
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(UserError):
        prepare(tmp_path / "src", tmp_path / "dst", size=128)


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


def test_an_empty_file_that_a_power_cut_left_is_made_again(tmp_path: Path, make_image: MakeImage) -> None:
    make_image("src/a.png", 128, 128)
    prepare(tmp_path / "src", tmp_path / "dst", size=128)
    before = hashes(tmp_path / "dst")
    (tmp_path / "dst" / "a.png").write_bytes(b"")
    prepare(tmp_path / "src", tmp_path / "dst", size=128)
    assert hashes(tmp_path / "dst") == before


def test_temporary_files_of_killed_processes_are_removed(tmp_path: Path, make_image: MakeImage) -> None:
    make_image("src/sub/a.png", 128, 128)
    prepare(tmp_path / "src", tmp_path / "dst", size=128)
    left = tmp_path / "dst" / "sub" / ".a.png.prepare.abcd1234.lora-tui.tmp"
    editing = left.with_name(".a.txt.abcd1234.lora-tui.tmp")  # which the tag editor writes just now
    for path in (left, editing):
        path.write_bytes(b"half")
    prepare(tmp_path / "src", tmp_path / "dst", size=128)
    assert not left.exists()
    assert editing.exists()


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
