"""Likeness by the small encoder of the package: what it was never shown scores as a person would say."""

from __future__ import annotations

import statistics
from pathlib import Path

import pytest
import torch
from PIL import Image

from lora_tui.demo import dataset, linocut
from lora_tui.demo.measure import ordinary_pictures
from lora_tui.demo.world.draw import draw_scene
from lora_tui.demo.world.scene import sample_scene
from lora_tui.errors import UserError
from lora_tui.keyed import keyed_random
from lora_tui.scores.encoder import load_encoder
from lora_tui.scores.likeness import ENCODER_FILE, Likeness, likeness_to, vectors


def mimbus(seed: int) -> list[Image.Image]:
    drawn = dataset.portraits(seed)
    return [dataset.draw_portrait(one, keyed_random("test", seed, n), 128) for n, one in enumerate(drawn)]


def prints(seed: int) -> list[Image.Image]:
    return [linocut.draw_print(scene, number, seed, 128) for number, scene in enumerate(linocut.prints(seed))]


def world(count: int, seed: int) -> list[Image.Image]:
    chances = [keyed_random("test world", seed, number) for number in range(count)]
    return [draw_scene(sample_scene(chance), 128, chance) for chance in chances]


@pytest.fixture(scope="module")
def subject() -> Likeness:
    return likeness_to(mimbus(0), ordinary_pictures())


def test_another_picture_of_the_creature_is_like_it_and_the_world_is_not(subject: Likeness) -> None:
    others, foreign = subject.of(mimbus(1)), subject.of(world(48, 1))
    assert statistics.fmean(others) == pytest.approx(1, abs=0.15)
    assert statistics.fmean(foreign) == pytest.approx(0, abs=0.15)
    assert min(others) > statistics.fmean(foreign) + statistics.pstdev(foreign)


def test_a_green_thing_with_an_eye_is_less_like_it_than_it_is_itself(subject: Likeness) -> None:
    scenes = (sample_scene(keyed_random("test eyes", number)) for number in range(400))
    eyed = [scene for scene in scenes if any(one.eyes and one.colour == "green" for one in scene.subjects)]
    assert len(eyed) > 3
    pictures = [draw_scene(scene, 128, keyed_random("test eyes", number)) for number, scene in enumerate(eyed)]
    assert max(subject.of(pictures)) < statistics.fmean(subject.of(mimbus(1)))


def test_a_style_is_known_whatever_it_shows() -> None:
    style = likeness_to(prints(0), ordinary_pictures(), aspect="style")
    own, flat = style.of(prints(1)), style.of(world(48, 1))
    assert statistics.fmean(own) == pytest.approx(1, abs=0.15)
    assert statistics.fmean(flat) == pytest.approx(0, abs=0.15)
    assert min(own) > statistics.quantiles(flat, n=20)[-2]  # now and then a flat picture has dark things on pale ground


def test_the_scale_is_that_of_its_own_pictures() -> None:
    references, ordinary = mimbus(0), world(24, 2)
    measured = likeness_to(references, ordinary)
    assert statistics.fmean(measured.of(ordinary)) == pytest.approx(0, abs=1e-5)
    count = len(references)
    among = (vectors(measured.encoder, references, "subject") @ measured.references.T).fill_diagonal_(0)
    assert float(among.sum()) / (count * (count - 1)) == pytest.approx(measured.ceiling, abs=1e-5)
    assert measured.of([]) == []


def test_size_and_mode_of_a_picture_do_not_matter_much(subject: Likeness) -> None:
    picture = mimbus(2)[0]
    changed = [picture, picture.convert("RGBA"), picture.resize((300, 300)), picture.convert("P", colors=255)]
    values = subject.of(changed)
    assert max(values) - min(values) < 0.2
    assert values[0] == values[1]


def test_what_cannot_be_measured_is_said() -> None:
    same = [Image.new("RGB", (64, 64), "white")] * 4
    with pytest.raises(UserError) as caught:
        likeness_to(same[:1], same)
    assert caught.value.code == "likeness.few"
    with pytest.raises(UserError) as caught:
        likeness_to(same, same)
    assert caught.value.code == "likeness.flat"


def test_the_encoder_is_small_and_gives_unit_vectors() -> None:
    assert Path(ENCODER_FILE).stat().st_size < 1_000_000
    subject, style = load_encoder(ENCODER_FILE)(torch.zeros(2, 3, 64, 64))
    assert torch.allclose(subject.norm(dim=1), torch.ones(2))
    assert torch.allclose(style.norm(dim=1), torch.ones(2))
