"""Decoding in strips gives the picture of decoding in one piece, and never lays a large map on the device."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL
from torch.utils._python_dispatch import TorchDispatchMode

from lora_tui.bench.flux_model import MICRO
from lora_tui.bench.model import micro_shape
from lora_tui.families import decoding


def vae(family: str) -> Any:
    torch.manual_seed(0)
    config = MICRO.vae_config() if family == "flux" else micro_shape(family).vae_config()
    made = AutoencoderKL.from_config(config).eval()
    for parameter in made.parameters():  # norms that are not all alike
        parameter.data += 0.05 * torch.randn_like(parameter)
    return made


@pytest.mark.parametrize("family", ["sd15", "flux"])
@pytest.mark.parametrize("size", [(2, 3), (7, 10), (16, 5)])
def test_strips_are_the_picture_in_one_piece(
    family: str, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = vae(family)
    latents = torch.randn(2, made.config.latent_channels, *size) * 3
    wanted = (made.decode(latents).sample.detach() / 2 + 0.5).clamp(0, 1)
    assert torch.equal(decoding.decode(made, latents, tiled=False), wanted)
    monkeypatch.setattr(decoding, "STRIP_CELLS", 120)
    monkeypatch.setattr(decoding, "ASKING_CELLS", 9)
    found = decoding.decode(made, latents, tiled=True)
    assert found.dtype == torch.float32 and found.shape == wanted.shape
    assert wanted.std() > 0.05
    assert torch.allclose(found, wanted, atol=1e-5)


class Largest(TorchDispatchMode):
    """The largest result of a convolution, in numbers."""

    found = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if "convolution" in str(func):
            self.found = max(self.found, result.numel())
        return result


def test_what_visits_the_device_is_small(monkeypatch: pytest.MonkeyPatch) -> None:
    made, latents = vae("flux"), torch.randn(1, 16, 24, 8)
    monkeypatch.setattr(decoding, "STRIP_CELLS", 1024)
    with Largest() as whole:
        decoding.decode(made, latents, tiled=False)
    with Largest() as strips:
        decoding.decode(made, latents, tiled=True)
    assert whole.found == 32 * 192 * 64
    assert strips.found <= 32 * (1024 + 4 * 64)  # rows around a strip
