"""What is Z-Image's own: its shift, its VAE, and the layout of its files; ``test_rows.py`` holds the rest."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers.loaders.single_file_utils import convert_z_image_transformer_checkpoint_to_diffusers
from row_models import WEIGHTS, ZImage

from lora_tui.bench.zimage_model import MICRO, write_zimage_model
from lora_tui.errors import UserError
from lora_tui.families import check_model
from lora_tui.families.zimage.model_file import original_to_diffusers
from lora_tui.families.zimage.shape import ZIMAGE
from lora_tui.weights.names.zimage_original import original_names


def test_the_shift_is_that_of_the_schedule_that_was_published_with_it(zimage: ZImage, tmp_path: Path) -> None:
    assert zimage.reference.shift(512, 512) == 3.0
    base = zimage.opened(write_zimage_model(tmp_path / "base", shape=replace(MICRO, shift=6.0)))
    assert base.shift(1024, 512) == base.scheduler_config()["shift"] == 6.0


@torch.no_grad()
def test_images_go_to_latents_and_back_as_in_diffusers(zimage: ZImage) -> None:
    model, pipeline = zimage.reference, zimage.pipeline
    pixels = torch.rand(1, 3, 64, 96) * 2 - 1
    latents = model.encode_image(pixels, torch.zeros(1, 16, 8, 12))
    config = pipeline.vae.config
    assert (config.scaling_factor, config.shift_factor) == (0.3611, 0.1159)
    theirs = (pipeline.vae.encode(pixels).latent_dist.mean - config.shift_factor) * config.scaling_factor
    assert torch.allclose(latents, theirs, atol=1e-5)
    back = pipeline.vae.decode(theirs / config.scaling_factor + config.shift_factor).sample
    assert torch.allclose(model.decode_latents(latents), (back / 2 + 0.5).clamp(0, 1), atol=1e-5)


def test_layout_is_turned_as_diffusers_turns_it_at_real_width() -> None:
    """One block of each kind, as wide as the published model; the inner sides of matrices are cut short."""
    shape, generator = replace(ZIMAGE, blocks=1, refiners=1), torch.Generator().manual_seed(0)
    rows = {"attention.qkv": 3 * shape.width, "w1": shape.feed, "w3": shape.feed, "adaLN_modulation.0": 4 * shape.width}
    tensors = {}
    for name in original_names(1, 1):
        path, _dot, kind = name.rpartition(".")
        count = next((size for ending, size in rows.items() if path.endswith(ending)), shape.width)
        whole = kind == "weight" and not path.endswith("norm")
        tensors[name] = torch.randn((count, 3) if whole else (count,), generator=generator)
    ours = dict(pair for name, tensor in tensors.items() for pair in original_to_diffusers(name, tensor, shape.width))
    theirs = convert_z_image_transformer_checkpoint_to_diffusers(dict(tensors))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_a_transformer_in_diffusers_names_belongs_into_its_folder(zimage: ZImage) -> None:
    with pytest.raises(UserError, match="model_index"):
        check_model("zimage", zimage.folder / "transformer" / WEIGHTS)
