"""Pictures that were enlarged are told from pictures that hold what their size promises."""

from __future__ import annotations

import io

import pytest
import skimage.data
from PIL import Image

from lora_tui.dataset.buckets import Size
from lora_tui.dataset.enlarged import is_enlarged


@pytest.mark.parametrize("name", ["astronaut", "chelsea", "coffee", "immunohistochemistry"])
@pytest.mark.parametrize("factor", [1.5, 2, 3])
def test_photographs_made_larger_and_as_they_are(name: str, factor: float) -> None:
    real = Image.fromarray(getattr(skimage.data, name)())
    small = Size(round(real.width / factor), round(real.height / factor))
    less = real.resize((small.width, small.height), Image.Resampling.LANCZOS)
    held = io.BytesIO()
    less.resize(real.size, Image.Resampling.LANCZOS).save(held, "JPEG", quality=90)
    assert is_enlarged(Image.open(held), small)
    assert not is_enlarged(real, small)


def test_what_cannot_be_told_is_not_said() -> None:
    assert not is_enlarged(Image.new("RGB", (600, 600), "red"), Size(300, 300))
    assert not is_enlarged(Image.effect_noise((600, 600), 90), Size(590, 590))
