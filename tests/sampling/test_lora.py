"""A LoRA file at any strength: what merging it would give, and at 0 the base model itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from lora_tui.bench.model import write_model
from lora_tui.config.schema import CaptionSection, ModelSection
from lora_tui.errors import UserError
from lora_tui.families.sd15.facts import FACTS
from lora_tui.families.sd15.model import open_model
from lora_tui.sampling.lora import apply_lora
from lora_tui.weights.lora_file import file_tensors

CPU = torch.device("cpu")
Layers = dict[tuple[str, str], tuple[torch.Tensor, torch.Tensor]]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model") / "base", seed=6)


@pytest.fixture(scope="module")
def layers(base: Path) -> Layers:
    """Random matrices of rank 3 for every target of UNet and text encoder."""
    generator = torch.Generator().manual_seed(1)
    found: Layers = {}
    for target in FACTS.targets(base):
        tail = (1, 1) if target.convolution else ()
        down = torch.randn(3, target.inputs, *tail, generator=generator) * 0.1
        found[target.part, target.path] = down, torch.randn(target.outputs, 3, *tail, generator=generator) * 0.1
    return found


@pytest.fixture
def file(layers: Layers, tmp_path: Path) -> Path:
    path = tmp_path / "lora.safetensors"
    kinds = {
        place: {"lora_down.weight": down, "lora_up.weight": up, "alpha": torch.tensor(1.5)}
        for place, (down, up) in layers.items()
    }
    save_file(file_tensors("sd15", kinds, dtype=torch.float32), path)
    return path


def _open(base: Path) -> Any:
    return open_model(ModelSection(base=str(base)), CaptionSection(), device=CPU, dtype=torch.float32)


@torch.no_grad()
def _predicted(model: Any) -> torch.Tensor:
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(2))
    predicted: torch.Tensor = model.predict(
        latents, torch.tensor([400]), model.encode_text(model.tokenize(["a disc"], 1))
    )
    return predicted


def _merge(model: Any, layers: Layers, scale: float) -> None:
    roots = {"unet": model.unet, "text_encoder": model.text_encoder()}
    for (part, path), (down, up) in layers.items():
        inner = dict(roots[part].named_modules())
        module = inner[path] if path in inner else inner[f"text_model.{path}"]
        delta = up.flatten(1) @ down.flatten(1) * scale
        module.weight.data += delta.view_as(module.weight)


@pytest.mark.parametrize("strength", [1.0, 0.5, -1.0])
def test_it_adds_what_merging_would(base: Path, layers: Layers, file: Path, strength: float) -> None:
    merged, model = _open(base), _open(base)
    _merge(merged, layers, 1.5 / 3 * strength)
    lora = apply_lora(model, file)
    assert lora.layers == len(layers)
    lora.strength = strength
    assert torch.allclose(_predicted(model), _predicted(merged), atol=1e-5)
    assert not torch.allclose(_predicted(model), _predicted(_open(base)), atol=1e-3)


def test_at_0_and_after_removal_it_is_the_base_bit_for_bit(base: Path, file: Path) -> None:
    model, plain = _open(base), _predicted(_open(base))
    lora = apply_lora(model, file)
    assert not torch.equal(_predicted(model), plain)
    lora.strength = 0
    assert torch.equal(_predicted(model), plain)
    lora.strength = 1
    lora.remove()
    assert torch.equal(_predicted(model), plain)


def test_wide_convolutions_keep_their_stride_and_padding(base: Path, tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(3)

    def drawn(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator)

    matrices = {
        "lora_unet_conv_in": (drawn(2, 4, 3, 3), drawn(32, 2, 1, 1)),
        "lora_unet_down_blocks_0_downsamplers_0_conv": (drawn(2, 32, 3, 3), drawn(32, 2, 1, 1)),
    }
    tensors = {}
    for name, (down, up) in matrices.items():
        tensors[f"{name}.lora_down.weight"], tensors[f"{name}.lora_up.weight"] = down * 0.1, up * 0.1
    save_file(tensors, tmp_path / "wide.safetensors")
    merged, model = _open(base), _open(base)
    for name, module in (
        ("lora_unet_conv_in", merged.unet.conv_in),
        ("lora_unet_down_blocks_0_downsamplers_0_conv", merged.unet.down_blocks[0].downsamplers[0].conv),
    ):
        down, up = matrices[name]
        module.weight.data += 0.01 * torch.einsum("or,rihw->oihw", up.flatten(1), down)
    apply_lora(model, tmp_path / "wide.safetensors")
    assert torch.allclose(_predicted(model), _predicted(merged), atol=1e-4)


def test_what_does_not_fit_is_refused(base: Path, file: Path, tmp_path: Path) -> None:
    foreign, empty = tmp_path / "foreign.safetensors", tmp_path / "empty.safetensors"
    save_file(
        {"lora_unet_x.lora_down.weight": torch.ones(1, 2), "lora_unet_x.lora_up.weight": torch.ones(2, 1)}, foreign
    )
    save_file({"x": torch.ones(1)}, empty)
    for path, words in ((foreign, "1 of its 1 layers"), (empty, "no LoRA")):
        with pytest.raises(UserError, match=words) as caught:
            apply_lora(_open(base), path)
        assert caught.value.code == "lora.unmatched"
