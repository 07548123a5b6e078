"""Training that cuts around subjects: found where they are, kept by content, close-ups within their bounds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from config_samples import config_with
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lora_tui.config.schema import Config
from lora_tui.config.validate import check_config
from lora_tui.dataset.batches import DataPlan, Item, make_plan
from lora_tui.dataset.buckets import Box, Fit, Size
from lora_tui.dataset.load import load_image
from lora_tui.dataset.looks import close_up
from lora_tui.dataset.scan import scan_datasets
from lora_tui.dataset.subjects import with_subjects


@pytest.fixture
def detector(tmp_path: Path) -> Path:
    from dataset.prepare.networks import face_model

    return face_model(tmp_path / "faces.onnx")


def _config(folder: Path, **data: object) -> Config:
    return config_with(
        datasets=[{"path": str(folder)}],
        data={"resolution": 128, "buckets": False, **data},
        validation={"mode": "off"},
        memory={"cache_latents": False},
    )


def _plan(config: Config, seen: list[int] | None = None) -> DataPlan:
    def progress(done: int, _total: int) -> None:
        if seen is not None:
            seen.append(done)

    return with_subjects(make_plan(config, scan_datasets(config)), config.data, progress)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One grey picture of 640 x 320 with a red square of 64 px at (500, 100)."""
    monkeypatch.setenv("LORA_TUI_HOME", str(tmp_path / "home"))
    folder = tmp_path / "images"
    folder.mkdir()
    picture = Image.new("RGB", (640, 320), (120, 120, 120))
    picture.paste((250, 0, 0), (500, 100, 564, 164))
    picture.save(folder / "a.png")
    return folder


@pytest.mark.parametrize("named", [False, True], ids=["by what stands out", "by its face"])
def test_a_cut_keeps_the_subject(folder: Path, detector: Path, named: bool) -> None:
    [plain] = _plan(_config(folder)).train
    assert (plain.fit.crop_left, plain.fit.crop_top) == (64, 0)
    config = _config(folder, crop="subject", face_detector=str(detector) if named else "")
    seen: list[int] = []
    [moved] = _plan(config, seen).train
    assert seen == [0]
    assert moved.fit.resize == plain.fit.resize
    assert 1.5 * 64 < moved.fit.crop_left <= 256 - 128  # the square lies at 200 to 226 of 256
    assert np.asarray(load_image(moved, moved.fit))[40:66, :, 0].max() > 240
    assert bool(moved.faces) == named
    [kept] = (folder.parent / "home").rglob("subjects/*/*.json")
    assert _plan(config).train == (moved,)
    kept.write_text("no entry")
    assert _plan(config).train == (moved,)


def test_close_ups_show_the_face_and_are_kept_apart_from_the_rest(folder: Path, detector: Path) -> None:
    config = _config(folder, closeups=0.5, face_detector=str(detector), resolution=64)
    plan = _plan(config)
    [face, *_others] = plan.train[0].faces
    assert 450 < face.left < face.right < 620
    looks = [plan.look(epoch, Item(0, 0)) for epoch in range(60)]
    assert looks == [plan.look(epoch, Item(0, 0)) for epoch in range(60)]
    close = [look for look in looks if look.fit.source is not None]
    assert 15 < len(close) < 45
    assert {look.fit for look in looks if look.fit.source is None} == {plan.train[0].fit}
    for look in close[:5]:
        red = np.asarray(load_image(plan.train[0], look.fit))[:, :, 0] > 200
        assert 0.01 < red.mean() < 0.6


BOXES = st.tuples(st.integers(0, 900), st.integers(0, 700), st.integers(1, 600), st.integers(1, 600))


@given(BOXES, BOXES, st.integers(8, 128), st.integers(8, 128), st.floats(1, 20))
def test_close_ups_stay_within_what_may_be_shown_in_the_shape_of_the_bucket(
    area: tuple[int, int, int, int], face: tuple[int, int, int, int], across: int, down: int, times: float
) -> None:
    whole = Box(area[0], area[1], area[0] + area[2], area[1] + area[3])
    bucket = Size(across * 8, down * 8)
    fit = close_up(
        Fit(bucket, bucket, 3, 5), Box(face[0], face[1], face[0] + face[2], face[1] + face[3]), whole, times
    )  # fmt: skip
    part = fit.source
    assert part is not None
    assert whole.left <= part.left < part.right <= whole.right
    assert whole.top <= part.top < part.bottom <= whole.bottom
    assert (fit.bucket, fit.resize, fit.crop_left, fit.crop_top) == (bucket, bucket, 0, 0)
    scale = max(part.width / bucket.width, part.height / bucket.height)
    assert abs(part.width - bucket.width * scale) <= max(1.0, bucket.width / bucket.height)
    fills = part.width == whole.width or part.height == whole.height
    assert fills or (part.width >= bucket.width and part.height >= bucket.height)


@pytest.mark.parametrize(
    ("data", "code", "field"),
    [
        ({"closeups": 0.2}, "data.no_detector", "data.face_detector"),
        ({"crop": "subject", "face_detector": "/nowhere/faces.onnx"}, "data.no_detector", "data.face_detector"),
        ({"closeups": 0.2, "closeup_from": 5.0}, "data.closeup_range", "data.closeup_from"),
        ({"crop": "subject", "random_crop": True}, "config.no_effect", "data.crop"),
    ],
)
def test_what_cannot_find_a_face_is_named(folder: Path, data: dict[str, object], code: str, field: str) -> None:
    found = {(finding.code, finding.field) for finding in check_config(_config(folder, **data))}
    assert (code, field) in found
