"""Blocks whose activations are computed again: none, some or all of them, with the same gradients."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch

from lora_tui.bench.flux_model import write_flux_model
from lora_tui.bench.model import write_model
from lora_tui.bench.sd3_model import write_sd3_model
from lora_tui.config.schema import CaptionSection, ModelSection
from lora_tui.families import open_model
from lora_tui.families.protocol import Storage
from lora_tui.families.recomputed import is_chosen


def chosen(count: int, share: float) -> list[int]:
    return [number for number in range(count) if is_chosen(number, share)]


def test_a_share_of_the_blocks_is_spread_evenly() -> None:
    assert chosen(8, 0.5) == [1, 3, 5, 7]
    assert chosen(57, 1.0) == list(range(57))
    assert chosen(57, 0.0) == []
    for share in (0.1, 0.25, 1 / 3, 0.7, 0.9):
        found = chosen(60, share)
        assert len(found) == round(60 * share)
        gaps = {after - before for before, after in itertools.pairwise(found)}
        assert max(gaps) - min(gaps) <= 1


def kept_bytes(model: Any, share: float) -> tuple[float, int]:
    """The gradient of a sum at the input, in one number, and the bytes that the forward pass kept for it."""
    model.enable_checkpointing(text_encoder=False, share=share)
    generator = torch.Generator().manual_seed(0)
    text = model.encode_text(model.tokenize(["a cat"], model.text_length(["a cat"])))
    if model.embeds_guidance:
        text["guidance"] = torch.ones(1)
    noisy = torch.randn(1, model.facts.latent_channels, 8, 8, generator=generator).requires_grad_()
    held: dict[int, int] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        held[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        predicted = model.predict(noisy, torch.tensor([500]), text)
    weights = {tensor.untyped_storage().data_ptr() for part in model.loaded() for tensor in part.parameters()}
    size = sum(bytes_ for place, bytes_ in held.items() if place not in weights)
    predicted.square().sum().backward()
    assert noisy.grad is not None
    return float(noisy.grad.double().square().sum()), size


@pytest.mark.parametrize("family", ["sd15", "flux", "sd3"])
def test_gradients_are_the_same_and_less_is_kept_with_each_block(tmp_path: Path, family: str) -> None:
    writers = {"flux": write_flux_model, "sd3": write_sd3_model}
    base = writers[family](tmp_path / "base") if family in writers else write_model(tmp_path / "base", family=family)
    section = ModelSection(base=str(base), family=family)  # type: ignore[arg-type]
    model: Any = open_model(section, CaptionSection(), device=torch.device("cpu"), dtype=torch.float32)
    gradients, sizes = zip(*(kept_bytes(model, share) for share in (0.0, 0.5, 1.0, 0.0)), strict=True)
    assert gradients[1:] == gradients[:1] * 3  # to the bit
    assert sizes[0] > sizes[1] > sizes[2]
    assert sizes[3] == sizes[0]  # it can be turned off again


def test_streamed_blocks_are_computed_again_whatever_the_share(tmp_path: Path) -> None:
    section = ModelSection(base=str(write_flux_model(tmp_path / "base")), family="flux")
    model: Any = open_model(
        section, CaptionSection(), device=torch.device("cpu"), dtype=torch.float32, storage=Storage(streamed=2)
    )
    plain: Any = open_model(section, CaptionSection(), device=torch.device("cpu"), dtype=torch.float32)
    assert kept_bytes(model, 0.01)[0] == pytest.approx(kept_bytes(plain, 1.0)[0], rel=1e-6)
