"""Text encoders of a single file, under either of their names, as modules; ``model_file`` goes the way back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from lora_tui.families.state_dicts import load_exactly
from lora_tui.families.unet.encoders import FUSED, PROJECTION, Encoder
from lora_tui.families.unet.shape import TextShape


def encoder_class(encoder: Encoder) -> type[CLIPTextModel] | type[CLIPTextModelWithProjection]:
    """What transformers makes of it."""
    return CLIPTextModelWithProjection if encoder.pooled else CLIPTextModel


def inner(module: nn.Module) -> nn.Module:
    """The transformer itself, which some classes and versions of transformers wrap once more."""
    return getattr(module, "text_model", module)


def encoder_of_file(
    encoder: Encoder, shape: TextShape, own: Mapping[str, Any], tensors: Mapping[str, Tensor], place: str
) -> nn.Module:
    """The text encoder from a single file's ``tensors``; ``own`` are settings besides those that ``shape`` tells.

    Raises:
        UserError: a tensor is missing, or one is of another shape.
    """
    module = encoder_class(encoder)(CLIPTextConfig(**{**shape.config(encoder.activation), **own}))
    named = _from_open_clip(encoder, shape, tensors) if encoder.open_clip else _from_clip(encoder, tensors)
    place = f"{place}: {encoder.part}"
    projection = {name: tensor for name, tensor in named.items() if name == PROJECTION}
    if encoder.pooled:
        load_exactly(module.text_projection, {"weight": projection[PROJECTION]} if projection else {},
                     optional_prefix="text_model.", place=place)  # fmt: skip
    rest = {name: tensor for name, tensor in named.items() if name not in projection}
    load_exactly(inner(module), rest, optional_prefix="text_model.", place=place)
    return module


def _from_clip(encoder: Encoder, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Field files name CLIP with or without ``text_model.``, and its constant positions absent, int64 or half."""
    named = {name.removeprefix(encoder.prefix).removeprefix("text_model."): tensor for name, tensor in tensors.items()}
    return {name: tensor for name, tensor in named.items() if not name.endswith("position_ids")}


def _from_open_clip(encoder: Encoder, shape: TextShape, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """OpenCLIP's tensors under transformers' names: query, key and value apart, the projection turned round."""
    found: dict[str, Tensor] = {}
    for name in text_names(shape, pooled=encoder.pooled):
        tensor = tensors.get(encoder.file_name(name))
        if tensor is None:
            continue
        path = name.rsplit(".", 1)[0]
        part = next((number for number, fused in enumerate(FUSED) if path.endswith(fused)), None)
        if part is not None:
            tensor = tensor.chunk(3)[part].clone()
        found[name] = tensor.T.contiguous() if name == PROJECTION else tensor
    return found


def text_names(shape: TextShape, *, pooled: bool) -> Iterable[str]:
    """The names that transformers gives to a text encoder's tensors, without ``text_model.``."""
    yield from ("embeddings.token_embedding.weight", "embeddings.position_embedding.weight")
    paths = ("layer_norm1", "layer_norm2", *FUSED, "self_attn.out_proj", "mlp.fc1", "mlp.fc2")
    for layer in range(shape.layers):
        for path in paths:
            yield from (f"encoder.layers.{layer}.{path}.{kind}" for kind in ("weight", "bias"))
    yield from ("final_layer_norm.weight", "final_layer_norm.bias")
    if pooled:
        yield PROJECTION
