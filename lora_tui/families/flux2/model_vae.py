"""FLUX.2's VAE: patches of 2 x 2 cells of its latents are one cell of 128 channels, each normed by what it learned.

Source: diffusers' ``Flux2KleinPipeline`` (``_encode_vae_image``, ``_patchify_latents``), which takes the middle of the
posterior, as the makers do.
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers import AutoencoderKLFlux2
from torch import Tensor

from lora_tui.families.decoding import decode
from lora_tui.families.flux2.model_file import vae_to_diffusers
from lora_tui.families.flux2.shape import PATCH, vae_config
from lora_tui.families.loading import module_of_folder
from lora_tui.families.separate.model_file import in_dtype
from lora_tui.families.separate.model_vae import Vae
from lora_tui.families.state_dicts import load_exactly
from lora_tui.families.unet.shape import vae_channels


class PatchLatents(Vae):
    """diffusers' ``AutoencoderKLFlux2``."""

    def load(self) -> AutoencoderKLFlux2:
        place = self.place
        if place.is_folder:
            return module_of_folder(AutoencoderKLFlux2, place.path, pickles=False, torch_dtype=torch.float32)
        tensors = {name.removeprefix(place.prefix): t for name, t in in_dtype(place, torch.float32).items()}
        shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
        config = vae_config(vae_channels(shapes), shapes["decoder.conv_in.weight"][1])
        module = AutoencoderKLFlux2.from_config(config)
        counted = {"bn.num_batches_tracked": torch.tensor(0)}  # which the network never reads
        load_exactly(
            module, {**counted, **vae_to_diffusers(tensors, config)}, optional_prefix="", place=f"{place.path}: VAE"
        )
        return module

    def encode(self, vae: Any, pixels: Tensor, noise: Tensor) -> Tensor:
        mean, spread = _norms(vae)
        return (patched(vae.encode(pixels).latent_dist.mode()) - mean) / spread

    def decode(self, vae: Any, latents: Tensor, *, tiled: bool) -> Tensor:
        mean, spread = _norms(vae)
        return decode(vae, unpatched(latents * spread + mean), tiled=tiled)

    def words(self, vae: Any) -> str:
        return f" patched {float(vae.config.batch_norm_eps)!r}"


def _norms(vae: Any) -> tuple[Tensor, Tensor]:
    """Mean and spread of each channel of a patch, [1, channels, 1, 1]."""
    mean, variance = (one.view(1, -1, 1, 1) for one in (vae.bn.running_mean, vae.bn.running_var))
    return mean, torch.sqrt(variance + vae.config.batch_norm_eps)


def patched(latents: Tensor) -> Tensor:
    """[batch, channels, height, width] as [batch, channels * 4, height / 2, width / 2]."""
    return torch.nn.functional.pixel_unshuffle(latents, PATCH)


def unpatched(latents: Tensor) -> Tensor:
    """What :func:`patched` did, undone."""
    return torch.nn.functional.pixel_shuffle(latents, PATCH)
