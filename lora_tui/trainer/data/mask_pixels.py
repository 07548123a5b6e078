"""Pixels of masks: one image's mask, cut and mirrored as the image is, at the size of its latents."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lora_tui.dataset.batches import PlannedImage
from lora_tui.dataset.buckets import Fit
from lora_tui.dataset.facts import read_facts
from lora_tui.dataset.load import decoding, grey_levels, turns
from lora_tui.dataset.scan import DatasetImage, MaskSource

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL import Image


def load_mask(
    planned: PlannedImage, fit: Fit, source: MaskSource, *, factor: int, flip: bool = False
) -> npt.NDArray[np.float32]:
    """What counts of an image, [height / factor, width / factor] of its bucket, 0 (nothing) to 1.

    A mask of another size than its image is stretched over it. Shrinking averages over areas, as the latents do.

    Raises:
        UserError: the file cannot be read or is damaged.
    """
    import numpy as np
    import PIL.Image

    mask = _grey(planned.image, source)
    image, box = planned.image.facts, fit.source
    across, down = mask.width / image.width, mask.height / image.height
    part = None
    if box is not None:
        part = (box.left * across, box.top * down, box.right * across, box.bottom * down)
    resized = mask.resize((fit.resize.width, fit.resize.height), PIL.Image.Resampling.BOX, part)
    left, top = fit.crop_left, fit.crop_top
    cut = resized.crop((left, top, left + fit.bucket.width, top + fit.bucket.height))
    if flip:
        cut = cut.transpose(PIL.Image.Transpose.FLIP_LEFT_RIGHT)
    values = np.asarray(cut, dtype=np.float32) / 255.0
    high, wide = values.shape[0] // factor, values.shape[1] // factor
    means: npt.NDArray[np.float32] = values.reshape(high, factor, wide, factor).mean(axis=(1, 3), dtype=np.float32)
    return means


def _grey(image: DatasetImage, source: MaskSource) -> Image.Image:
    """The whole mask in 8 bits of grey, upright."""
    path = image.mask_path if source == "file" else image.path
    assert path is not None
    facts = read_facts(path)
    with decoding(path) as opened:
        opened.load()
        if source == "alpha":
            grey = opened.convert("RGBA").getchannel("A")
        else:
            deep = opened.mode.startswith("I") or opened.mode == "F"
            grey = grey_levels(opened) if deep else opened.convert("L")
    turn = turns().get(facts.orientation)
    return grey if turn is None else grey.transpose(turn)
