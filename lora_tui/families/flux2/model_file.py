"""The tensors of a FLUX.2 transformer and VAE in their makers' layouts, as diffusers has them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint
from torch import Tensor

from lora_tui.families.flux2.kinds import MOVED
from lora_tui.families.separate.model_file import pieces
from lora_tui.weights.names.flux2_original import LAST_MODULATION, ORIGINAL
from lora_tui.weights.names.flux_original import split_name


def original_to_diffusers(name: str, tensor: Tensor, width: int) -> Iterator[tuple[str, Tensor]]:
    """The tensors of diffusers that the original ``tensor`` called ``name`` holds, for hidden states of ``width``.

    Raises:
        KeyError: a FLUX.2 transformer has no such tensor.
    """
    path, kind = split_name(name)
    if path == LAST_MODULATION:
        shift, scale = tensor.chunk(2)
        tensor = torch.cat([scale, shift])
    yield from pieces(ORIGINAL, path, kind, tensor, width)


def vae_to_diffusers(tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> dict[str, Tensor]:
    """A VAE's tensors, by bare names in whatever layout, as ``AutoencoderKLFlux2`` has them."""
    named = {}
    for name, tensor in tensors.items():
        found = next((new + name.removeprefix(old) for old, new in MOVED.items() if name.startswith(old)), name)
        named[found] = tensor
    if "encoder.down.0.block.0.conv2.weight" not in named:
        return named
    norms = {name: tensor for name, tensor in named.items() if name.startswith("bn.")}
    return {**convert_ldm_vae_checkpoint(named, dict(config)), **norms}
