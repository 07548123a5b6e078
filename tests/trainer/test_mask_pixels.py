"""What a mask lets count, against torch's area interpolation of the same cut of the same picture."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lora_tui.dataset.batches import PlannedImage
from lora_tui.dataset.buckets import Box, Fit, Size
from lora_tui.dataset.scan import has_mask, scan_folder
from lora_tui.errors import UserError
from lora_tui.trainer.data.mask_pixels import load_mask


@pytest.fixture
def planned(tmp_path: Path) -> PlannedImage:
    """96 x 64, the middle trained at 64 x 64; its mask is white from column 40 on, its alpha above row 24."""
    alpha = np.zeros((64, 96), dtype=np.uint8)
    alpha[:24] = 255
    image = Image.new("RGBA", (96, 64), (200, 10, 10, 255))
    image.putalpha(Image.fromarray(alpha))
    image.save(tmp_path / "a.png")
    mask = np.zeros((64, 96), dtype=np.uint8)
    mask[:, 40:] = 255
    Image.fromarray(mask).save(tmp_path / "a-masklabel.png")
    Image.new("RGB", (96, 64)).save(tmp_path / "b.png")
    first = scan_folder(tmp_path).images[0]
    return PlannedImage(first, Fit(Size(64, 64), Size(96, 64), 16, 0))


def test_a_mask_is_cut_mirrored_and_shrunk_as_its_image(planned: PlannedImage) -> None:
    whole = np.zeros((64, 96), dtype=np.float32)
    whole[:, 40:] = 1
    for flip in (False, True):
        cut = whole[:, 16:80]
        cut = cut[:, ::-1] if flip else cut
        expected = torch.nn.functional.interpolate(torch.tensor(cut.copy())[None, None], size=(8, 8), mode="area")[0, 0]
        found = load_mask(planned, planned.fit, "file", factor=8, flip=flip)
        assert found.shape == (8, 8)
        assert np.allclose(found, expected.numpy())


def test_a_chosen_part_and_another_size_of_the_mask(planned: PlannedImage) -> None:
    mask = Image.open(planned.image.mask_path).resize((48, 32), Image.Resampling.NEAREST)  # type: ignore[arg-type]
    mask.save(planned.image.mask_path)  # type: ignore[arg-type]
    fit = Fit(Size(32, 32), Size(32, 32), 0, 0, source=Box(32, 0, 64, 32))
    found = load_mask(replace(planned, fit=fit), fit, "file", factor=8)
    assert np.array_equal(found, np.tile([0, 1, 1, 1], (4, 1)))


def test_transparency_as_a_mask(planned: PlannedImage) -> None:
    found = load_mask(planned, planned.fit, "alpha", factor=8)
    assert np.array_equal(found[:, 0], [1, 1, 1, 0, 0, 0, 0, 0])
    assert has_mask(planned.image, "alpha") and has_mask(planned.image, "file")
    assert not has_mask(planned.image, "off")


def test_a_damaged_mask_is_named(planned: PlannedImage) -> None:
    path = planned.image.mask_path
    assert path is not None
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(UserError) as caught:
        load_mask(planned, planned.fit, "file", factor=8)
    assert "a-masklabel.png" in caught.value.place
