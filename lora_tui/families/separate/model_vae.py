"""VAEs of models with separate parts: how each kind is loaded, and how images become latents and latents images."""

from __future__ import annotations

import tempfile
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL
from torch import Tensor

from lora_tui.families.decoding import decode
from lora_tui.families.loading import module_of_file, module_of_folder, write_configs
from lora_tui.families.separate.kinds import KlVae
from lora_tui.families.separate.model_file import in_dtype
from lora_tui.families.separate.places import Part, Place
from lora_tui.families.separate.shapes import vae_config
from lora_tui.families.unet.shape import vae_channels


class Vae(ABC):
    """A VAE: where it comes from, and what its latents are for the network. A kind of VAE says how.

    ``vae`` is the module that :meth:`load` gave, in float32; tensors lie on its device, in float32, too.
    """

    def __init__(self, part: Part, place: Place) -> None:
        self.part = part
        self.place = place

    @abstractmethod
    def load(self) -> Any:
        """The module anew, on the CPU in float32.

        Raises:
            UserError: a tensor is missing, or one is of another shape, or the file is torn.
        """

    @abstractmethod
    def encode(self, vae: Any, pixels: Tensor, noise: Tensor) -> Tensor:
        """See :meth:`lora_tui.families.protocol.Model.encode_image`."""

    @abstractmethod
    def decode(self, vae: Any, latents: Tensor, *, tiled: bool) -> Tensor:
        """See :meth:`lora_tui.families.protocol.Model.decode_latents`; in strips where ``tiled``."""

    @abstractmethod
    def words(self, vae: Any) -> str:
        """What decides a latent besides the weights."""


class KlLatents(Vae):
    """diffusers' ``AutoencoderKL``, whose latents are shifted and scaled."""

    def load(self) -> AutoencoderKL:
        kind, place = self.part.kind, self.place
        if place.is_folder:
            return module_of_folder(AutoencoderKL, place.path, pickles=False, torch_dtype=torch.float32)
        assert isinstance(kind, KlVae)
        tensors = {name.removeprefix(place.prefix): t for name, t in in_dtype(place, torch.float32).items()}
        shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
        latent = shapes["decoder.conv_in.weight"][1]
        config = vae_config(vae_channels(shapes), latent, scale=kind.scale, shift=kind.shift)
        with tempfile.TemporaryDirectory(prefix="lora-tui-") as holder:
            write_configs(Path(holder), vae=config)
            return module_of_file(
                AutoencoderKL, tensors, Path(holder), "vae", str(place.path), list, torch_dtype=torch.float32
            )

    def encode(self, vae: Any, pixels: Tensor, noise: Tensor) -> Tensor:
        posterior = vae.encode(pixels).latent_dist
        latents = posterior.mean + posterior.std * noise
        return (latents - vae.config.shift_factor) * vae.config.scaling_factor

    def decode(self, vae: Any, latents: Tensor, *, tiled: bool) -> Tensor:
        return decode(vae, latents / vae.config.scaling_factor + vae.config.shift_factor, tiled=tiled)

    def words(self, vae: Any) -> str:
        return f"*{float(vae.config.scaling_factor)!r}+{float(vae.config.shift_factor)!r}"
