"""Which images a scan finds, with which repeats and captions, and what it says of the rest."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from lora_tui.config.schema import Config, DatasetEntry
from lora_tui.dataset.batches import make_plan
from lora_tui.dataset.scan import Scan, natural_key, scan_datasets, scan_folder
from lora_tui.errors import UserError
from lora_tui.keyed import keyed_seed

MakeImage = Callable[..., Path]


def names(scan: Scan) -> list[str]:
    return [image.relative for image in scan.images]


def codes(scan: Scan) -> list[str]:
    return [problem.code for problem in scan.problems]


def test_a_plain_folder_in_natural_order(make_image: MakeImage, tmp_path: Path) -> None:
    for name in ("img10.png", "img2.png", "IMG1.jpg", "b.webp"):
        make_image(name)
    (tmp_path / "notes.md").write_text("x")
    scan = scan_folder(tmp_path)
    assert names(scan) == ["b.webp", "IMG1.jpg", "img2.png", "img10.png"]
    assert not scan.problems
    assert scan.complete
    image = scan.images[0]
    assert (image.uid, image.repeats, image.caption_path) == ("0/b.webp", 1, None)
    assert (image.facts.width, image.facts.height) == (64, 48)


def test_captions_are_found_by_the_order_of_endings(make_image: MakeImage, tmp_path: Path) -> None:
    make_image("a.png", caption="tags")
    (tmp_path / "a.caption").write_text("other")
    assert scan_folder(tmp_path).images[0].caption_path == tmp_path / "a.txt"
    assert scan_folder(tmp_path, extensions=["caption", "txt"]).images[0].caption_path == tmp_path / "a.caption"


def test_nested_folders_and_repeat_folders(make_image: MakeImage, tmp_path: Path) -> None:
    make_image("loose.png")
    make_image("10_hat girl/a.png", caption="x")
    make_image("10_hat girl/side/b.png")
    make_image("10_hat girl/3_close/c.png")
    make_image("other/d.png")
    scan = scan_folder(tmp_path)
    assert {image.relative: image.repeats for image in scan.images} == {
        "loose.png": 1,
        "10_hat girl/a.png": 10,
        "10_hat girl/side/b.png": 10,
        "10_hat girl/3_close/c.png": 3,
        "other/d.png": 1,
    }
    assert {image.repeats for image in scan_folder(tmp_path, repeats=4).images} == {4}


def test_the_dataset_folder_itself_may_be_a_repeat_folder(make_image: MakeImage, tmp_path: Path) -> None:
    make_image("7_hat/a.png")
    assert scan_folder(tmp_path / "7_hat").images[0].repeats == 7


def test_a_folder_of_zero_repeats_is_left_out_and_said(make_image: MakeImage, tmp_path: Path) -> None:
    make_image("0_bad/a.png")
    make_image("0_bad/2_good/b.png")
    scan = scan_folder(tmp_path)
    assert names(scan) == ["0_bad/2_good/b.png"]
    assert codes(scan) == ["folder.zero_repeats"]


def test_a_date_is_no_number_of_repeats(make_image: MakeImage, tmp_path: Path) -> None:
    make_image("20240101_party/a.png")
    make_image("99999999999999999999999999_x/b.png")
    scan = scan_folder(tmp_path)
    assert [image.repeats for image in scan.images] == [1, 1]
    assert "folder.many_repeats" in codes(scan)


def test_hidden_files_and_our_own_folder_are_skipped(make_image: MakeImage, tmp_path: Path) -> None:
    make_image("a.png")
    make_image(".lora-tui/trash/b.png")
    make_image(".git/c.png")
    make_image("__MACOSX/d.png")
    (tmp_path / "._a.png").write_bytes(b"resource fork")
    scan = scan_folder(tmp_path)
    assert names(scan) == ["a.png"]
    assert not scan.problems


def test_the_samples_of_runs_are_not_trained(make_image: MakeImage, tmp_path: Path) -> None:
    make_image("a.png")
    make_image("runs/20260101-120000-hat/samples/b.png")
    for name in ("config.toml", "record.json"):
        (tmp_path / "runs" / "20260101-120000-hat" / name).write_text("")
    assert names(scan_folder(tmp_path)) == ["a.png"]


def test_links_to_folders_are_followed_once_and_loops_end(make_image: MakeImage, tmp_path: Path) -> None:
    outside = make_image("outside/b.png").parent
    make_image("set/deep/a.png")
    (tmp_path / "set" / "deep" / "up").symlink_to(tmp_path / "set")
    (tmp_path / "set" / "aaa-again").symlink_to(tmp_path / "set" / "deep")
    (tmp_path / "set" / "linked").symlink_to(outside)
    (tmp_path / "set" / "linked-too").symlink_to(outside)
    (tmp_path / "set" / "self").symlink_to(tmp_path / "set" / "self")
    scan = scan_folder(tmp_path / "set")
    assert names(scan) == ["deep/a.png", "linked/b.png"]


def test_a_link_to_a_folder_around_the_dataset_is_not_followed(make_image: MakeImage, tmp_path: Path) -> None:
    make_image("set/a.png")
    make_image("private/b.png")
    (tmp_path / "set" / "up").symlink_to("..")
    (tmp_path / "set" / "root").symlink_to("/")
    scan = scan_folder(tmp_path / "set")
    assert names(scan) == ["a.png"]
    assert codes(scan) == ["folder.leads_up", "folder.leads_up"]


def test_a_link_to_an_image_is_an_image(make_image: MakeImage, tmp_path: Path) -> None:
    original = make_image("outside/a.png")
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a.png").symlink_to(original)
    assert names(scan_folder(tmp_path / "set")) == ["a.png"]


def test_what_cannot_be_read_is_named_and_the_rest_is_found(make_image: MakeImage, tmp_path: Path) -> None:
    make_image("good.png")
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "page.jpg").write_text("<html>")
    (tmp_path / "gone.png").symlink_to("nowhere")
    (tmp_path / "self.png").symlink_to("self.png")
    (tmp_path / "photo.HEIC").write_bytes(b"x")
    os.mkfifo(tmp_path / "pipe.png")
    scan = scan_folder(tmp_path)
    assert names(scan) == ["good.png"]
    assert {problem.path.name: problem.code for problem in scan.problems} == {
        "empty.png": "image.empty",
        "page.jpg": "image.invalid",
        "gone.png": "image.broken_link",
        "self.png": "image.broken_link",
        "photo.HEIC": "image.unsupported",
        "pipe.png": "image.no_file",
    }
    assert all(problem.message and problem.remedy for problem in scan.problems)


@pytest.mark.parametrize("name", ["a\nb.png", "\x1b[31mred.png", "[bold]x.png", "行列.png", "a b'\".png", "%s{}.png"])
def test_hostile_names_are_data(make_image: MakeImage, tmp_path: Path, name: str) -> None:
    make_image(name, caption="x")
    image = scan_folder(tmp_path).images[0]
    assert image.relative == name
    assert image.caption_path is not None and image.caption_path.exists()


def test_a_path_that_looks_like_markup(make_image: MakeImage, tmp_path: Path) -> None:
    make_image("[/x].png")
    assert names(scan_folder(tmp_path)) == ["[/x].png"]


def test_a_name_that_is_no_utf8_gets_a_name_that_can_be_written(tmp_path: Path) -> None:
    raw = os.fsencode(tmp_path) + b"/\xc3\x28\xff.png"
    Image.new("RGB", (8, 8)).save(tmp_path / "x.png")
    os.rename(os.fsencode(tmp_path / "x.png"), raw)  # noqa: PTH104 - bytes have no Path
    image = scan_folder(tmp_path).images[0]
    assert image.relative == "\\xc3(\\xff.png"
    assert keyed_seed(image.uid) >= 0
    assert os.fsencode(image.path) == raw


@pytest.fixture
def ordinary_user() -> Iterator[None]:
    """Root may read everything, so the test goes on as nobody; another user stays who it is."""
    mine = os.geteuid()
    if mine == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(mine)


@pytest.fixture
def folder_with_secrets(draw: Callable[..., Image.Image]) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="lora-tui-test-"))
    folder.chmod(0o755)
    for name, mode in (("good.png", 0o644), ("secret.png", 0)):
        draw().save(folder / name)
        (folder / name).chmod(mode)
    (folder / "locked").mkdir(mode=0)
    try:
        yield folder
    finally:
        (folder / "locked").chmod(0o700)
        shutil.rmtree(folder)


def test_files_without_permission_are_named_and_the_rest_is_found(
    folder_with_secrets: Path, ordinary_user: None
) -> None:
    scan = scan_folder(folder_with_secrets)
    assert names(scan) == ["good.png"]
    assert {problem.path.name: problem.code for problem in scan.problems} == {
        "locked": "folder.unreadable",
        "secret.png": "image.unreadable",
    }


def test_several_datasets_keep_their_order_and_repeats(make_image: MakeImage, tmp_path: Path) -> None:
    make_image("z/a.png")
    make_image("b/5_x/a.png")
    config = Config()
    config.datasets = [
        DatasetEntry(path=str(tmp_path / "z"), repeats=2),
        DatasetEntry(path=str(tmp_path / "b")),
    ]
    progress: list[int] = []
    scan = scan_datasets(config, on_progress=progress.append)
    assert [(image.uid, image.repeats) for image in scan.images] == [("0/a.png", 2), ("1/5_x/a.png", 5)]
    assert progress == sorted(progress)
    assert progress[-1] == 2


def test_a_scan_can_be_stopped(make_image: MakeImage, tmp_path: Path) -> None:
    make_image("a.png")
    scan = scan_folder(tmp_path, should_stop=lambda: True)
    assert not scan.complete
    assert not scan.images


@pytest.mark.parametrize("kind", ["missing", "file"])
def test_a_folder_that_is_none_is_an_error_with_its_path(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "set"
    if kind == "file":
        path.write_text("x")
    with pytest.raises(UserError) as caught:
        scan_folder(path)
    assert caught.value.code == "dataset.missing"
    assert str(path) in caught.value.place


def test_natural_keys_order_numbers_and_never_compare_kinds() -> None:
    wanted = ["1a", "2a", "10a", "a", "a1b", "a2", "a10", "b", "Ⅳ", "²x"]
    wanted_backwards = wanted[::-1]
    assert sorted(wanted_backwards, key=natural_key)[:8] == wanted[:8]
    assert natural_key("a01") != natural_key("a1")


def test_an_empty_path_is_not_the_current_folder(
    make_image: MakeImage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_image("here.png")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="No dataset folder is named") as caught:
        scan_datasets(Config(datasets=[DatasetEntry(path="")]))
    assert caught.value.place == "datasets.0.path"


def test_a_scan_is_in_the_order_of_the_plan_and_says_so(make_image: MakeImage, tmp_path: Path) -> None:
    for name in ("z/img10.png", "z/img2.png", "b/5_x/IMG3.png", "b/5_x/img20.png"):
        make_image(name)
    config = Config(datasets=[DatasetEntry(path=str(tmp_path / name)) for name in ("z", "b")])
    scan = scan_datasets(config)
    assert scan.ordered
    mixed = Scan(scan.images[::-1])
    assert make_plan(config, scan, groups={}) == make_plan(config, mixed, groups={})


def test_the_first_of_many_images_are_given_while_the_scan_goes_on(make_image: MakeImage, tmp_path: Path) -> None:
    picture = make_image("set/1.png", 8, 8)
    for number in range(2, 301):
        os.link(picture, picture.with_name(f"{number}.png"))
    (picture.parent / "1.txt").write_text("x", "utf-8")
    early: list[Scan] = []
    whole = scan_folder(tmp_path / "set", on_early=early.append)
    (first,) = early
    assert whole.complete and len(whole.images) == 300 and not first.complete
    numbers = [int(image.path.stem) for image in first.images]
    assert len(numbers) == 256 and numbers == sorted(numbers) and first.images[0] == whole.images[0]
