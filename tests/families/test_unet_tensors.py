"""The tables of tensors of UNets and their VAE against those that diffusers builds, at the published widths."""

from __future__ import annotations

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel

from lora_tui.families import facts_for
from lora_tui.families.unet.facts import UnetFacts
from lora_tui.families.unet.tensors import own_vae_tensors, plain_shape, unet_tensors


@pytest.mark.parametrize("family", ["sd15", "sd2", "sdxl"])
def test_every_tensor_is_known_by_name_and_shape(family: str) -> None:
    facts = facts_for(family)
    assert isinstance(facts, UnetFacts)
    with torch.device("meta"):
        unet = UNet2DConditionModel.from_config(facts.full.unet_config())
        vae = AutoencoderKL.from_config(facts.full.vae_config())
    built = {name: plain_shape(tuple(tensor.shape)) for name, tensor in unet.state_dict().items()}
    assert {name: plain_shape(shape) for name, shape in unet_tensors(facts.full).items()} == built
    assert own_vae_tensors(facts.full) == {name: tuple(tensor.shape) for name, tensor in vae.state_dict().items()}
