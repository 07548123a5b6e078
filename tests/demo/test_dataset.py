"""The demo's datasets: what is in them, what is wrong with them on purpose, and that they never change."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from PIL import Image, ImageChops

from lora_tui.captions.document import split_tags
from lora_tui.config.schema import Config
from lora_tui.dataset.checks import check_dataset
from lora_tui.dataset.scan import Problem, scan_folder
from lora_tui.demo import dataset, linocut
from lora_tui.demo.creature import MOODS, POSES
from lora_tui.demo.dataset import BLURRED, COPIED, GROUNDS, ORIGINAL, PORTRAITS, TRANSPARENT, TRIGGER
from lora_tui.demo.world.scene import PATTERNS, SHAPES, SIZES


@pytest.fixture(scope="module")
def character(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "mimbu"
    dataset.write_dataset(folder)
    return folder


@pytest.fixture(scope="module")
def style(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "linocut"
    linocut.write_dataset(folder)
    return folder


def problems(folder: Path, purpose: str, trigger: str) -> tuple[Problem, ...]:
    config = Config()
    config.data.resolution = 128
    return check_dataset(scan_folder(folder), config=config, purpose=purpose, trigger=trigger, decode=True)


def test_the_portraits_show_everything_about_equally_often() -> None:
    drawn = dataset.portraits()
    assert len(drawn) == PORTRAITS == 24
    assert Counter(one.look.pose for one in drawn) == dict.fromkeys(POSES, 4)
    assert Counter(one.look.mood for one in drawn) == dict.fromkeys(MOODS, 8)
    assert Counter(one.scene.first for one in drawn) == dict.fromkeys(GROUNDS, 3)
    assert Counter(one.size for one in drawn) == {"large": 10, "medium": 12, "small": 2}
    assert set(SIZES) == {one.size for one in drawn}
    assert Counter(one.scene.pattern for one in drawn) == {"plain": 12, **dict.fromkeys(PATTERNS[1:], 4)}
    assert Counter(one.caption for one in drawn) == {"full": 12, "brief": 6, "prose": 6}
    assert sum(1 for one in drawn if one.scene.subjects) >= 4
    assert len({one.place for one in drawn}) >= 8


def test_captions_begin_with_the_trigger_and_tell_what_is_there() -> None:
    for one in dataset.portraits():
        text = dataset.caption(one)
        assert text.split(",")[0].split()[0] == TRIGGER
        assert one.scene.first in text
        if one.caption == "full":
            tags = split_tags(text)
            assert {one.size, one.place, one.look.pose} <= set(tags)
            assert len(tags) == len(set(tags))
        if one.caption == "prose":
            assert one.look.pose in text
            assert "," not in text


def test_the_check_finds_each_fault_and_nothing_else(character: Path) -> None:
    found = problems(character, "character", TRIGGER)
    assert Counter(problem.code for problem in found) == dict.fromkeys(
        [
            "caption.blanks", "caption.comma", "caption.doubled", "caption.empty", "caption.missing",
            "image.alpha", "image.blurred", "image.similar", "set.missing", "trigger.case", "trigger.missing",
        ],
        1,
    )  # fmt: skip
    by_code = {problem.code: problem for problem in found if problem.code != "set.missing"}
    number = {code: int(problem.path.stem.split("-")[1]) for code, problem in by_code.items()}
    assert (number["image.blurred"], number["image.alpha"], number["image.similar"]) == (BLURRED, TRANSPARENT, ORIGINAL)
    assert f"mimbu-{COPIED}.png" in by_code["image.similar"].message
    assert number["caption.blanks"] == number["caption.comma"]


def test_most_captions_are_sound(character: Path) -> None:
    sound = [path for path in character.glob("*.txt") if path.read_text("utf-8").startswith(f"{TRIGGER}")]
    assert len(list(character.glob("*.png"))) == dataset.IMAGES == 27
    assert len(sound) >= 23


def test_the_transparent_one_is_the_creature_alone(character: Path) -> None:
    with Image.open(character / f"mimbu-{TRANSPARENT}.png") as picture:
        assert picture.mode == "RGBA"
        alpha = picture.getchannel("A")
    assert alpha.getextrema() == (0, 255)
    assert 0.1 < sum(alpha.histogram()[200:]) / (256 * 256) < 0.5


def test_the_prints_are_few_for_a_style_and_otherwise_sound(style: Path) -> None:
    assert [problem.code for problem in problems(style, "style", linocut.TRIGGER)] == ["dataset.few"]


def test_prints_are_ink_on_paper_and_their_captions_end_in_the_trigger(style: Path) -> None:
    scenes = linocut.prints()
    assert len(scenes) == linocut.IMAGES == 24
    assert len({subject.shape for scene in scenes for subject in scene.subjects}) > len(SHAPES) - 3
    paper = linocut.LINOCUT.paper
    for number, scene in enumerate(scenes, start=1):
        text = linocut.caption(scene)
        assert text.endswith(f", {linocut.TRIGGER}")
        assert "background" not in text
        assert (scene.second in text) == (scene.pattern != "plain") or scene.second in str(scene.subjects)
        picture = linocut.draw_print(scene, number, side=128)
        colours = {colour: count for count, colour in picture.getcolors(1 << 14) or []}
        assert colours[linocut.LINOCUT.ink] > 80
        assert colours[paper] > 1500


@pytest.mark.parametrize("module", [dataset, linocut])
def test_the_seed_names_every_byte(module: object, tmp_path: Path) -> None:
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        module.write_dataset(tmp_path / name, seed=seed)  # type: ignore[attr-defined]
    first, again, other = (
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("a", "b", "c")
    )
    assert first == again
    assert first != other


def test_sizes_are_what_the_recipe_wants(character: Path, style: Path) -> None:
    for path in (*character.glob("*.png"), *style.glob("*.png")):
        with Image.open(path) as picture:
            assert picture.size == (256, 256)
    with Image.open(character / f"mimbu-{ORIGINAL}.png") as one, Image.open(character / f"mimbu-{COPIED}.png") as other:
        assert ImageChops.difference(one, other).getbbox() is not None
