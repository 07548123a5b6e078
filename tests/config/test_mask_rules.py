"""What a check says of masks."""

from dataclasses import replace
from pathlib import Path

from config_samples import config_with, plan_of, squares

from lora_tui.config.plan import arithmetic_text
from lora_tui.config.validate import check_config
from lora_tui.dataset.scan import Scan


def some_masked(number: int, of: int) -> Scan:
    images = squares(of).images
    masked = [replace(image, mask_path=Path(f"/data/masks/{image.relative}")) for image in images[:number]]
    return Scan((*masked, *images[number:]))


def messages(scan: Scan, **masks: object) -> dict[str, str]:
    found = check_config(config_with(masks=masks), scan=scan)
    return {one.code: one.message for one in found if one.code.startswith("masks")}


def test_images_without_a_mask_are_named():
    assert messages(some_masked(1, 6), source="file") == {
        "masks.missing": "5 images have no mask and are trained whole: 0001.png, 0002.png, 0003.png and 2 more."
    }
    assert messages(some_masked(6, 6), source="file") == {}
    assert set(messages(some_masked(0, 2), source="file")) == {"masks.none"}
    assert set(messages(some_masked(2, 2), source="alpha")) == {"masks.none"}
    assert set(messages(some_masked(2, 4))) == {"masks.unused"}
    assert messages(some_masked(0, 4)) == {}


def test_settings_that_take_the_masks_back():
    assert set(messages(some_masked(2, 2), source="file", unmasked_weight=1.0)) == {"masks.no_effect"}
    found = {one.field for one in check_config(config_with(masks={"unmasked_weight": 0.5}))}
    assert "masks.unmasked_weight" in found


def test_the_plan_says_how_many_masks_are_in_effect():
    config = config_with(masks={"source": "file"}, validation={"mode": "off"})
    assert "(3 masked)" in arithmetic_text(plan_of(config, some_masked(3, 5)))
    assert "masked" not in arithmetic_text(plan_of(config_with(), some_masked(3, 5)))
