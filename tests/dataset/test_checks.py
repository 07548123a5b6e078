"""The checks of a dataset: what each finds, and that it leaves a good dataset alone."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image, ImageFilter

from lora_tui.config.schema import Config, DatasetEntry
from lora_tui.dataset.blur import is_blurred, sharpness
from lora_tui.dataset.caption_checks import guess_encoding
from lora_tui.dataset.checks import check_dataset
from lora_tui.dataset.scan import Problem, Scan, scan_datasets, scan_folder

MakeImage = Callable[..., Path]
Draw = Callable[..., Image.Image]


def small_config() -> Config:
    config = Config()
    config.data.resolution = 64
    config.data.bucket_min = 64
    return config


def found(folder: Path, **options: object) -> dict[str, str]:
    """Name of the file and code of each problem, with images trained at 64 px."""
    problems = check_dataset(scan_folder(folder), config=small_config(), **options)  # type: ignore[arg-type]
    assert all(problem.message and problem.remedy for problem in problems)
    return {problem.path.name: problem.code for problem in problems}


def one(problems: tuple[Problem, ...], code: str) -> Problem:
    (problem,) = [problem for problem in problems if problem.code == code]
    return problem


@pytest.fixture
def good(make_image: MakeImage, tmp_path: Path) -> Path:
    for number in range(3):
        make_image(f"set/{number}.png", 64, 64, seed=number, caption="hatgirl, smile")
    return tmp_path / "set"


@pytest.mark.parametrize("decode", [False, True])
def test_a_good_dataset_has_no_problem(good: Path, decode: bool) -> None:
    assert found(good, decode=decode, trigger="hatgirl") == {}


def test_captions_missing_empty_or_elsewhere(good: Path) -> None:
    (good / "0.txt").unlink()
    (good / "1.txt").write_text(" \n")
    (good / "2.txt").rename(good / "2.TXT")
    assert found(good) == {"0.png": "caption.missing", "1.txt": "caption.empty", "2.png": "caption.other_ending"}


def test_a_caption_with_accents_composed_differently_is_pointed_out(good: Path) -> None:
    (good / "0.png").rename(good / "e\u0301.png")
    (good / "0.txt").rename(good / "\u00e9.txt")
    codes = found(good)
    assert codes == {"e\u0301.png": "caption.other_ending", "\u00e9.txt": "caption.orphan"}


@pytest.mark.timeout(60)
@pytest.mark.parametrize(("kind", "make"), [("a folder", Path.mkdir), ("a named pipe", os.mkfifo)])
def test_a_caption_that_is_no_file_is_named_and_never_opened(
    good: Path, kind: str, make: Callable[[Path], None]
) -> None:
    (good / "0.txt").unlink()
    make(good / "0.txt")
    (problem,) = check_dataset(scan_folder(good), config=small_config())
    assert (problem.path.name, problem.code, problem.severity) == ("0.png", "caption.no_file", "error")
    assert f"0.txt is {kind}" in problem.message and problem.remedy
    (good / "0.txt").rename(good / "elsewhere")
    (good / "0.txt").symlink_to("elsewhere")
    assert found(good)["0.png"] == "caption.no_file"
    (good / "0.caption").write_text("hatgirl, smile")
    assert found(good) == {}


def test_a_missing_caption_may_have_any_of_the_names_that_count(good: Path) -> None:
    (good / "0.txt").unlink()
    (problem,) = check_dataset(scan_folder(good), config=small_config())
    assert problem.remedy == "Write one into 0.txt or 0.caption."
    config = small_config()
    config.captions.extensions = [".tags"]
    problems = check_dataset(scan_folder(good, extensions=[".tags"]), config=config)
    assert {item.code for item in problems} == {"caption.missing", "caption.other_ending"}
    assert [item.remedy for item in problems if item.code == "caption.missing"] == ["Write one into 0.tags."]


def test_caption_encodings_and_lines(good: Path) -> None:
    (good / "0.txt").write_bytes("帽子女孩, 微笑".encode("gb18030"))
    (good / "1.txt").write_bytes(b"\xef\xbb\xbfhatgirl")
    (good / "2.txt").write_text("hatgirl\nsecond")
    problems = check_dataset(scan_folder(good), config=small_config())
    assert {problem.path.name: problem.code for problem in problems} == {
        "0.txt": "caption.undecodable",
        "1.txt": "caption.bom",
        "2.txt": "caption.more_lines",
    }
    assert problems[0].severity == "error", "errors come first"
    assert "GB18030" in problems[0].remedy


def test_the_trigger_word(good: Path) -> None:
    (good / "1.txt").write_text("Hatgirl, smile")
    (good / "2.txt").write_text("smile")
    assert found(good, trigger="hatgirl") == {"1.txt": "trigger.case", "2.txt": "trigger.missing"}


def test_the_trigger_word_is_no_part_of_another(good: Path) -> None:
    for number, text in enumerate(("woman, smile", "workMan", "a man, smiling")):
        (good / f"{number}.txt").write_text(text)
    assert found(good, trigger="man") == {"0.txt": "trigger.missing", "1.txt": "trigger.missing"}
    for number, text in enumerate(("一个帽子女孩在街上", "帽子女孩, 1girl", "女孩")):
        (good / f"{number}.txt").write_text(text)
    assert found(good, trigger="帽子女孩") == {"2.txt": "trigger.missing"}


def test_a_folder_of_regularisation_images_is_one_note(good: Path, tmp_path: Path, draw: Draw) -> None:
    others = tmp_path / "others"
    others.mkdir()
    for number in range(3):
        draw(64, 64, 20 + number).save(others / f"{number}.png")
        (others / f"{number}.txt").write_text("girl, smile")
    config = small_config()
    config.datasets = [DatasetEntry(path=str(good)), DatasetEntry(path=str(others))]
    problems = check_dataset(scan_datasets(config), config=config, trigger="hatgirl")
    assert [(problem.path, problem.code, problem.severity) for problem in problems] == [
        (others, "trigger.none", "note")
    ]
    (others / "1.txt").write_text("hatgirl, smile")
    problems = check_dataset(scan_datasets(config), config=config, trigger="hatgirl")
    assert [(problem.path.name, problem.code) for problem in problems] == [
        ("0.txt", "trigger.missing"),
        ("2.txt", "trigger.missing"),
    ]


def test_captions_that_are_badly_separated(good: Path) -> None:
    (good / "0.txt").write_text("hatgirl, smile, Smile, day")
    (good / "1.txt").write_text("hatgirl， smile、day")
    (good / "2.txt").write_text("hatgirl ,  smile")
    assert found(good) == {"0.txt": "caption.doubled", "1.txt": "caption.comma", "2.txt": "caption.blanks"}
    (good / "0.txt").write_text("hatgirl, a smile, and a second smile ")
    (good / "1.txt").write_text("hatgirl,smile, day,")
    (good / "2.txt").write_text("hatgirl, o_o, :, ;d")
    assert found(good) == {}
    (good / "0.txt").write_text("hatgirl, spoon,, table")
    assert found(good) == {"0.txt": "caption.empty_tag"}


def test_captions_shared_and_without_an_image(good: Path, draw: Draw) -> None:
    draw(64, 64, 9).save(good / "0.jpg")
    (good / "gone.txt").write_text("x")
    (good / "1.wd14.txt").write_text("x")  # another caption of 1.png
    assert found(good) == {"0.txt": "caption.shared", "gone.txt": "caption.orphan"}


def test_a_caption_of_an_unreadable_image_is_no_orphan(good: Path) -> None:
    (good / "0.png").write_bytes(b"")
    assert found(good) == {"0.png": "image.empty"}


def test_small_cut_animated_and_transparent_images(make_image: MakeImage, tmp_path: Path, draw: Draw) -> None:
    make_image("small.png", 20, 20, caption="x")
    make_image("long.png", 640, 64, caption="x")
    draw(64, 64, 1).save(tmp_path / "moves.gif", save_all=True, append_images=[draw(64, 64, 2)])
    (tmp_path / "moves.txt").write_text("x")
    clear = draw(64, 64, 3).convert("RGBA")
    clear.save(tmp_path / "opaque.png")
    clear.putpixel((0, 0), (0, 0, 0, 0))
    clear.save(tmp_path / "clear.png")
    for name in ("clear", "opaque"):
        (tmp_path / f"{name}.txt").write_text("x")
    common = {"small.png": "image.small", "long.png": "image.cut", "moves.gif": "image.animated"}
    assert found(tmp_path) == {**common, "clear.png": "image.alpha", "opaque.png": "image.alpha"}
    decoded = check_dataset(scan_folder(tmp_path), config=small_config(), decode=True)
    assert {problem.path.name: problem.code for problem in decoded if problem.code != "image.similar"} == {
        **common,
        "clear.png": "image.alpha",
    }


def test_a_damaged_image_is_found_by_decoding_and_known_from_then_on(good: Path) -> None:
    path = good / "0.png"
    whole = path.read_bytes()
    middle = len(whole) // 2
    path.write_bytes(whole[:middle] + bytes(20) + whole[middle + 20 :])
    assert found(good) == {}
    assert found(good, decode=True) == {"0.png": "image.damaged"}
    assert found(good) == {"0.png": "image.damaged"}
    assert "0.png" not in [image.relative for image in scan_folder(good).images]
    path.write_bytes(whole)
    assert found(good) == {}


@pytest.mark.parametrize("name", ["0.png", "0.jpg", "0.webp", "0.gif"])
def test_an_image_cut_short_is_found_without_decoding_all(good: Path, draw: Draw, name: str) -> None:
    (good / "0.png").unlink()
    draw(640, 640, 8).save(good / name)
    (good / name).write_bytes((good / name).read_bytes()[:-500])
    assert found(good) == {name: "image.damaged"}


def test_what_decoding_said_is_known_the_next_time(tmp_path: Path) -> None:
    """Of transparent images, too: no pixel of a file that is as it was is looked at again."""
    for number in range(3):
        Image.effect_noise((90, 80), 60 + 30 * number).convert("RGBA").save(tmp_path / f"{number}.png")
    clear = Image.open(tmp_path / "1.png")
    clear.putpixel((0, 0), (0, 0, 0, 0))
    clear.save(tmp_path / "1.png")
    before = check_dataset(scan_folder(tmp_path), decode=True)
    assert [problem.path.name for problem in before if problem.code == "image.alpha"] == ["1.png"]
    for path in tmp_path.glob("*.png"):  # what is no image any more between its first and last bytes
        state, data = path.stat(), path.read_bytes()
        path.write_bytes(data[:64] + bytes(len(data) - 128) + data[-64:])
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert check_dataset(scan_folder(tmp_path), decode=True) == before


@pytest.mark.parametrize("name", ["0.png", "0.jpg", "0.gif"])
def test_what_other_programs_put_behind_an_image_does_no_harm(good: Path, draw: Draw, name: str) -> None:
    (good / "0.png").unlink()
    draw(640, 640, 8).save(good / name)
    with (good / name).open("ab") as file:
        file.write(b"a film of two seconds")
    assert found(good) == {}


def test_near_duplicates_are_named(good: Path, draw: Draw) -> None:
    draw(64, 64, 0).save(good / "copy.jpg", quality=80)
    (good / "copy.txt").write_text("hatgirl")
    problem = one(check_dataset(scan_folder(good), config=small_config(), decode=True), "image.similar")
    assert problem.path.name == "0.png"
    assert "copy.jpg" in problem.message


def test_copies_of_a_file_are_called_that_and_all_are_in_the_finding(good: Path, draw: Draw) -> None:
    draw(64, 64, 0).save(good / "near.jpg", quality=80)
    for number in range(5):
        (good / f"same{number}.png").write_bytes((good / "0.png").read_bytes())
    problems = check_dataset(scan_folder(good), config=small_config(), decode=True)
    same, near = one(problems, "image.identical"), one(problems, "image.similar")
    assert [path.name for path in same.others] == [f"same{number}.png" for number in range(5)]
    assert same.message == "The same file is there again: same0.png, same1.png, same2.png and 2 more."
    assert [path.name for path in near.others] == ["near.jpg"]


def _blurred(picture: Image.Image, radius: float) -> Image.Image:
    return picture.filter(ImageFilter.GaussianBlur(radius))


def test_blurred_images_are_named(tmp_path: Path, draw: Draw) -> None:
    for number, side in enumerate((200, 384, 900)):
        sharp = draw(side, side, number)
        sharp.save(tmp_path / f"sharp{number}.png")
        _blurred(sharp, max(side, 384) / 80).save(tmp_path / f"blurred{number}.png")
    Image.new("RGB", (200, 200), "gray").save(tmp_path / "flat.png")
    problems = check_dataset(scan_folder(tmp_path), config=small_config(), decode=True)
    named = [problem.path.name for problem in problems if problem.code == "image.blurred"]
    assert named == ["blurred0.png", "blurred1.png", "blurred2.png"]
    assert all(not is_blurred(sharpness(_blurred(draw(300, 300, seed), 0.7))) for seed in range(12))


@pytest.mark.parametrize(
    ("purpose", "images", "code"),
    [
        ("character", 3, "dataset.few"),
        ("character", 30, ""),
        ("character", 60, "dataset.many"),
        ("style", 30, "dataset.few"),
        ("style", 200, ""),
        ("", 3, ""),
    ],
)
def test_the_number_of_images_by_purpose(good: Path, purpose: str, images: int, code: str) -> None:
    scan = scan_folder(good)
    many = Scan((scan.images * images)[:images])
    problems = check_dataset(many, config=small_config(), purpose=purpose)
    assert [problem.code for problem in problems if problem.code.startswith("dataset.")] == ([code] if code else [])


def test_an_empty_folder(tmp_path: Path) -> None:
    (problem,) = check_dataset(scan_folder(tmp_path))
    assert (problem.code, problem.severity) == ("dataset.empty", "error")


def test_repeats_that_look_like_a_year(make_image: MakeImage, tmp_path: Path) -> None:
    make_image("2024_holiday/a.png", 64, 64, caption="x")
    assert found(tmp_path) == {"a.png": "image.repeats"}


def test_hostile_names_and_texts_are_shown_as_symbols(make_image: MakeImage, tmp_path: Path) -> None:
    make_image("a\x1b[2J\n[bold].png", 64, 64)
    (tmp_path / "a\x1b[2J\n[bold].json").write_text("{}")
    (problem,) = check_dataset(scan_folder(tmp_path), config=small_config(), trigger="\x1b[31m")
    assert "\x1b" not in problem.message + problem.remedy
    assert "\n" not in problem.message + problem.remedy


def test_checking_can_be_watched_and_stopped(good: Path) -> None:
    done: list[int] = []
    check_dataset(scan_folder(good), config=small_config(), decode=True, on_progress=done.append)
    assert done[-1] == 3
    (good / "0.txt").unlink()
    assert check_dataset(scan_folder(good), config=small_config(), should_stop=lambda: True) == ()


@pytest.mark.parametrize(("text", "codec", "name"), [("帽子女孩", "gb18030", "GB"), ("café", "cp1252", "Windows")])
def test_encodings_are_guessed(text: str, codec: str, name: str) -> None:
    assert name in guess_encoding(text.encode(codec))
