"""LoRA files under every program's names, each with the alpha that it states."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from lora_tui.errors import UserError
from lora_tui.weights import reading
from lora_tui.weights.header.loras import lora_info
from lora_tui.weights.names.parts import kind_and_layer
from lora_tui.weights.reading import Stored, layers_by_name, read_lora

PATH = "down_blocks.1.attentions.0.transformer_blocks.1.attn2.to_k"
TEXT = "encoder.layers.3.mlp.fc1"
DOWN, UP = torch.ones(4, 6), torch.ones(5, 4)


def _file(path: Path, stem: str, down: str, up: str, metadata: dict[str, str] | None = None, **more: float) -> Path:
    tensors = {f"{stem}.{down}.weight": DOWN, f"{stem}.{up}.weight": UP}
    save_file({**tensors, **{f"{stem}.{name}": torch.tensor(value) for name, value in more.items()}}, path, metadata)
    return path


@pytest.mark.parametrize(
    ("stem", "down", "up"),
    [
        ("lora_unet_input_blocks_4_1_transformer_blocks_1_attn2_to_k", "lora_down", "lora_up"),
        (f"lora_unet_{PATH.replace('.', '_')}", "lora_down", "lora_up"),
        (f"unet.{PATH}", "lora_A", "lora_B"),
        (f"unet.{PATH}", "lora_A.default", "lora_B.default"),
        (f"unet.{PATH}", "lora.down", "lora.up"),
        (f"base_model.model.unet.{PATH}", "lora_A", "lora_B"),
        (f"lora_te2_text_model_{TEXT.replace('.', '_')}", "lora_down", "lora_up"),
        (f"text_encoder_2.text_model.{TEXT}", "lora_A", "lora_B"),
        (f"text_encoder_2.{TEXT}", "lora_linear_layer.down", "lora_linear_layer.up"),
    ],
)
def test_a_layer_of_sdxl_under_each_of_its_names(tmp_path: Path, stem: str, down: str, up: str) -> None:
    places = [("unet", PATH), ("text_encoder", TEXT), ("text_encoder_2", TEXT)]
    known = layers_by_name("sdxl", places)
    ((name, layer),) = read_lora(_file(tmp_path / "a.safetensors", stem, down, up, alpha=3.0)).layers.items()
    assert known[name] == places[2 if "te2" in stem or "encoder_2" in stem else 0]
    assert (layer.alpha, layer.scale) == (3.0, 0.75)
    ((_name, bare),) = read_lora(_file(tmp_path / "b.safetensors", stem, down, up)).layers.items()
    assert bare.scale == 1.0


def test_alpha_in_the_metadata_of_diffusers(tmp_path: Path) -> None:
    settings = {
        "unet.r": 4,
        "unet.lora_alpha": 2,
        "unet.alpha_pattern": {"attn2.to_k": 7},
        "text_encoder.lora_alpha": 5,
    }
    metadata = {"lora_adapter_metadata": json.dumps(settings)}
    for stem, alpha in ((f"unet.{PATH}", 7), (f"unet.{PATH[:-1]}q", 2), (f"text_encoder.{TEXT}", 5)):
        ((_name, layer),) = read_lora(
            _file(tmp_path / "a.safetensors", stem, "lora_A", "lora_B", metadata)
        ).layers.items()
        assert layer.alpha == alpha
    for odd in ("{", "[]", '{"unet.lora_alpha": "x", "unet.alpha_pattern": {"(": 3}}'):
        path = _file(tmp_path / "b.safetensors", f"unet.{PATH}", "lora_A", "lora_B", {"lora_adapter_metadata": odd})
        assert read_lora(path).layers[f"unet.{PATH}"].alpha == 4


def test_each_name_is_looked_at_a_few_times_however_many_layers_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Layers with an alpha and no matrices of a LoRA are what LyCORIS' files consist of."""
    shapes = {"hada_w1_a": (5, 1), "hada_w1_b": (1, 6), "hada_w2_a": (5, 1), "hada_w2_b": (1, 6), "alpha": ()}
    layers = [f"lora_unet_input_blocks_{number}_1_attn1_to_q" for number in range(60)]
    save_file(
        {f"{s}.{k}": torch.ones(shape) for s in layers for k, shape in shapes.items()}, tmp_path / "x.safetensors"
    )
    asked: list[str] = []

    def counted(name: str) -> tuple[str, str]:
        asked.append(name)
        return kind_and_layer(name)

    monkeypatch.setattr(reading, "kind_and_layer", counted)
    stored = read_lora(tmp_path / "x.safetensors")
    assert set(stored.others) == set(layers) and len(stored.unread) == 60 * len(shapes)
    assert len(asked) <= 2 * 60 * len(shapes)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["lora_A.weight", "lora_B.weight", "lora_magnitude_vector", "diff_b"])
def test_a_number_that_is_none_is_an_error(tmp_path: Path, name: str, value: float) -> None:
    stem = f"unet.{PATH}"
    tensors = {"lora_A.weight": DOWN, "lora_B.weight": UP, "lora_magnitude_vector": torch.ones(5)}
    odd = tensors.get(name, torch.ones(5)).clone()
    odd.view(-1)[-1] = value
    save_file({f"{stem}.{inner}": tensor for inner, tensor in {**tensors, name: odd}.items()}, tmp_path / "a")
    with pytest.raises(UserError) as caught:
        read_lora(tmp_path / "a")
    assert (caught.value.code, f"{stem}.{name}" in caught.value.message) == ("lora.damaged", True)


def test_half_a_layer_is_an_error(tmp_path: Path) -> None:
    save_file({"lora_unet_x.lora_down.weight": DOWN}, tmp_path / "half.safetensors")
    with pytest.raises(UserError) as caught:
        read_lora(tmp_path / "half.safetensors")
    assert caught.value.code == "lora.incomplete"
    save_file({"x": DOWN}, tmp_path / "none.safetensors")
    assert read_lora(tmp_path / "none.safetensors") == Stored({}, ("x",))


@pytest.mark.parametrize("alpha", ["1" + "0" * 400, "1e999", "NaN"])
@pytest.mark.parametrize("key", ["lora_alpha", "alpha_pattern"])
def test_an_alpha_that_is_no_finite_number_is_an_error(tmp_path: Path, alpha: str, key: str) -> None:
    text = f'{{"unet.{key}": {alpha if key == "lora_alpha" else f"""{{"to_k": {alpha}}}"""}}}'
    path = _file(tmp_path / "a.safetensors", f"unet.{PATH}", "lora_A", "lora_B", {"lora_adapter_metadata": text})
    with pytest.raises(UserError) as caught:
        read_lora(path)
    assert (caught.value.code, PATH in caught.value.message) == ("lora.damaged", True)
    if key == "lora_alpha":
        with pytest.raises(UserError) as caught:
            lora_info(path)
        assert caught.value.code == "lora.damaged"
    path = _file(tmp_path / "b.safetensors", f"unet.{PATH}", "lora_A", "lora_B", alpha=float("nan"))
    for read in (read_lora, lora_info):
        with pytest.raises(UserError) as caught:
            read(path)
        assert caught.value.code == "lora.damaged"
