"""Loading the parts of a FLUX.1 model, from a diffusers folder or from single files, each by itself."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, FluxTransformer2DModel
from transformers import CLIPTextModel, CLIPTokenizer, T5Config, T5EncoderModel, T5Tokenizer

from lora_tui.config.schema import ModelSection
from lora_tui.errors import UserError
from lora_tui.families.flux.checks import FOLDERS, Place, check_model, check_part, clip_encoder, find_places, t5_shape
from lora_tui.families.flux.facts import FACTS
from lora_tui.families.flux.model_file import is_weight, scaled, transformer_of_file
from lora_tui.families.flux.shape import Shape, shape_of_folder, shape_of_tensors, tensor_shapes
from lora_tui.families.loading import module_of_file, module_of_folder, write_configs
from lora_tui.families.parts import DIFFUSERS_STEM, TRANSFORMERS_STEM, weights_of
from lora_tui.families.source import resolve
from lora_tui.families.state_dicts import load_exactly, read_tensors
from lora_tui.families.unet.model_text import encoder_of_file
from lora_tui.families.unet.particulars import TOKENIZER
from lora_tui.families.unet.shape import vae_channels
from lora_tui.places import is_folder
from lora_tui.text import _
from lora_tui.weights.header.format import read_header

T5_TOKENIZER = TOKENIZER.parents[1] / "flux" / "tokenizer_2"
SCHEDULE = {
    "_class_name": "FlowMatchEulerDiscreteScheduler",
    "num_train_timesteps": 1000,
    "base_image_seq_len": 256,
    "max_image_seq_len": 4096,
    "base_shift": 0.5,
    "max_shift": 1.15,
    "shift": 3.0,
}


class Parts:
    """Where the parts come from; each method loads its part anew, on the CPU."""

    def __init__(self, section: ModelSection) -> None:
        """Resolve the sources and look at their headers; nothing large is read yet.

        Raises:
            UserError: a part is missing, pickled, of another family, or damaged.
        """
        named = {"clip_l": section.clip_l, "t5xxl": section.t5xxl, "vae": section.vae}
        self.source = resolve(section.base, parts=tuple(FOLDERS.values()), allow_pickle=section.allow_pickle)
        check_model(self.source, own_vae=not section.vae)
        self.places = find_places(self.source, named)
        for part, place in self.places.items():
            if part != "transformer" and place.path != self.source.path and not place.is_folder:
                check_part(part, place.path)

    @cached_property
    def shape(self) -> Shape:
        """Of the transformer; its other parts tell their own."""
        if self.source.kind == "folder":
            return shape_of_folder(self.source.path, FACTS.full)
        return shape_of_tensors(tensor_shapes(self.source.path), FACTS.full)

    def transformer(self, dtype: torch.dtype) -> FluxTransformer2DModel:
        place = self.places["transformer"]
        if place.is_folder:
            return module_of_folder(FluxTransformer2DModel, place.path, pickles=False, torch_dtype=dtype)
        return transformer_of_file(place.path, self.shape, dtype, prefix=place.prefix)

    def clip(self, dtype: torch.dtype) -> CLIPTextModel:
        place = self.places["clip_l"]
        if place.is_folder:
            return module_of_folder(CLIPTextModel, place.path, pickles=False, dtype=dtype)
        encoder = clip_encoder(place)
        shapes = {name: info.shape for name, info in read_header(place.path).tensors.items()}
        tensors = _in_dtype(place, torch.float32)
        found: Any = encoder_of_file(encoder, encoder.shape_of(shapes), {}, tensors, str(place.path))
        return found.to(dtype)

    def t5(self, dtype: torch.dtype) -> T5EncoderModel:
        place = self.places["t5xxl"]
        if place.is_folder:
            return module_of_folder(T5EncoderModel, place.path, pickles=False, dtype=dtype)
        shape = t5_shape({name: info.shape for name, info in read_header(place.path).tensors.items()}, place.prefix)
        config = T5Config(
            vocab_size=shape.vocabulary, d_model=shape.width, d_kv=shape.head_width, d_ff=shape.inner,
            num_layers=shape.layers, num_heads=shape.heads, feed_forward_proj="gated-gelu", dropout_rate=0.0,
        )  # fmt: skip
        module = T5EncoderModel(config).to(dtype)
        tensors = {name.removeprefix(place.prefix): t for name, t in _in_dtype(place, dtype).items()}
        words = tensors.get("shared.weight", tensors.get("encoder.embed_tokens.weight"))
        tensors |= {name: words for name in ("shared.weight", "encoder.embed_tokens.weight") if words is not None}
        load_exactly(module, tensors, optional_prefix="model.", place=f"{place.path}: T5-XXL")
        return module

    def vae(self) -> AutoencoderKL:
        """The VAE in float32."""
        place = self.places["vae"]
        if place.is_folder:
            return module_of_folder(AutoencoderKL, place.path, pickles=False, torch_dtype=torch.float32)
        tensors = {name.removeprefix(place.prefix): t for name, t in _in_dtype(place, torch.float32).items()}
        shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
        latent = shapes["decoder.conv_in.weight"][1]
        config = replace(self.shape, vae_channels=vae_channels(shapes), latent_channels=latent).vae_config()
        with tempfile.TemporaryDirectory(prefix="lora-tui-") as holder:
            write_configs(Path(holder), vae=config)
            return module_of_file(
                AutoencoderKL, tensors, Path(holder), "vae", str(place.path), list, torch_dtype=torch.float32
            )

    def clip_tokenizer(self) -> CLIPTokenizer:
        own = self._tokenizer_beside("clip_l", "tokenizer")
        return CLIPTokenizer.from_pretrained(own or TOKENIZER, local_files_only=True)

    def t5_tokenizer(self) -> T5Tokenizer:
        own = self._tokenizer_beside("t5xxl", "tokenizer_2")
        tokenizer = T5Tokenizer.from_pretrained(own or T5_TOKENIZER, local_files_only=True)
        place = self.places["t5xxl"]
        known = self.shape.t5.vocabulary
        if not place.is_folder:
            known = t5_shape({n: i.shape for n, i in read_header(place.path).tensors.items()}, place.prefix).vocabulary
        if len(tokenizer) > known:
            raise UserError(
                _("the tokenizer has {words} entries, the text encoder only {known}.").format(
                    words=len(tokenizer), known=known
                ),
                place=str(own or T5_TOKENIZER),
                remedy=_("Use the tokenizer that belongs to this model."),
                code="model.tokenizer",
            )
        return tokenizer

    def scheduler_config(self) -> dict[str, Any]:
        """The noise schedule in diffusers' words."""
        return dict(SCHEDULE)

    def files(self) -> tuple[Path, ...]:
        """The files with the weights of every part."""
        found: list[Path] = []
        for part, place in self.places.items():
            if place.is_folder:
                stem = TRANSFORMERS_STEM if part in ("clip_l", "t5xxl") else DIFFUSERS_STEM
                found += weights_of(place.path.parent, place.path.name, stem).files
            elif place.path not in found:
                found.append(place.path)
        return tuple(found)

    def _tokenizer_beside(self, part: str, name: str) -> Path | None:
        """The folder of a tokenizer that lies in the same model as the encoder it belongs to, or beside its file."""
        folder = self.places[part].path.parent / name
        return folder if is_folder(folder) else None


def _in_dtype(place: Place, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """The weights at ``place`` under their names in the file, in ``dtype``; numbers with a factor multiplied by it."""
    tensors = read_tensors(place.path, prefix=place.prefix)
    return {name: scaled(tensors, name, dtype) for name in tensors if is_weight(name)}
