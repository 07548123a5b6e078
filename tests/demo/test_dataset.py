"""The demo's pictures and captions."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from lora_tui.demo.creature import CLOTH, Look, draw_creature
from lora_tui.demo.dataset import FRAMES, IMAGES, MOODS, POSES, TRIGGER, draw_scene, scenes, write_dataset
from lora_tui.demo.scenery import PLACES


def test_everything_comes_up_and_nothing_dominates() -> None:
    drawn = list(scenes())
    assert len(drawn) == IMAGES
    for values, wanted in (
        (Counter(scene.look.pose for scene in drawn), POSES),
        (Counter(scene.look.mood for scene in drawn), MOODS),
        (Counter(scene.look.outfit for scene in drawn), ("", *CLOTH)),
        (Counter(scene.place for scene in drawn), PLACES),
        (Counter(scene.frame for scene in drawn), FRAMES),
    ):
        assert set(values) == set(wanted)
        assert max(values.values()) <= IMAGES // 2
    assert len({(scene.width, scene.height) for scene in drawn}) == 3


def test_captions_are_tags_with_the_trigger_first() -> None:
    for scene in scenes():
        tags = scene.caption().split(", ")
        assert tags[0] == TRIGGER
        assert len(tags) == len(set(tags)) >= 5
        assert scene.look.pose in tags
        assert scene.look.mood in tags


def test_the_seed_names_the_pictures(tmp_path: Path) -> None:
    first, again, other = (
        write_dataset(tmp_path / name, count=3, seed=seed) for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in again]
    assert [path.read_bytes() for path in first] != [path.read_bytes() for path in other]
    assert all(path.with_suffix(".txt").read_text().startswith(TRIGGER) for path in first)


@pytest.mark.parametrize("pose", POSES)
def test_each_pose_stays_on_the_page(pose: str) -> None:
    picture = draw_creature(Look(pose, "smile", "purple hat"), 200)
    box = picture.getbbox()
    assert picture.mode == "RGBA"
    assert box is not None
    assert (box[2] - box[0]) * (box[3] - box[1]) > 200 * 200 * 0.3


def test_poses_and_moods_look_different() -> None:
    pictures = {draw_creature(Look(pose, mood), 64).tobytes() for pose in POSES for mood in MOODS}
    assert len(pictures) == len(POSES) * len(MOODS)


def test_a_scene_has_its_size_and_colours() -> None:
    for scene in list(scenes())[:4]:
        picture = draw_scene(scene)
        assert (picture.mode, picture.size) == ("RGB", (scene.width, scene.height))
        assert isinstance(picture, Image.Image)
        assert len(picture.getcolors(1 << 20)) > 50
