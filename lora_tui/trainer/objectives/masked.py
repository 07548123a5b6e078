"""The mean error of each image, over all of it or over what a mask lets count."""

from __future__ import annotations

from torch import Tensor

LEAST_AREA = 1e-6  # share of the image below which a mask counts as empty: its image then teaches nothing


def image_means(errors: Tensor, mask: Tensor | None, *, by_area: bool) -> Tensor:
    """[batch] means of ``errors`` ([batch, channels, h, w]), each place counted as ``mask`` says ([batch, 1, h, w]).

    With ``by_area`` the sum is divided by the mask's own, as OneTrainer does, so that errors inside count the same
    whatever the mask's size; otherwise by the number of all places, as sd-scripts does.
    """
    if mask is None:
        return errors.mean(dim=(1, 2, 3))
    means = (errors * mask).mean(dim=(1, 2, 3))
    return means / mask.mean(dim=(1, 2, 3)).clamp(min=LEAST_AREA) if by_area else means
