"""Loading text encoders and a VAE from folders or single files, each by itself, on the CPU."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn
from transformers import CLIPTokenizer, T5Config, T5EncoderModel, T5Tokenizer

from lora_tui.errors import UserError
from lora_tui.families.loading import module_of_file, module_of_folder, write_configs
from lora_tui.families.parts import DIFFUSERS_STEM, deciding_files, is_weight, weights_of
from lora_tui.families.separate.places import Layout, Part, Place, encoder_at, header_shapes
from lora_tui.families.separate.shapes import t5_shape, vae_config
from lora_tui.families.state_dicts import load_exactly, read_tensors, scaled
from lora_tui.families.unet.model_text import encoder_class, encoder_of_file
from lora_tui.families.unet.particulars import TOKENIZER
from lora_tui.families.unet.shape import vae_channels
from lora_tui.places import is_folder
from lora_tui.text import _

T5_TOKENIZER = TOKENIZER.parents[1] / "flux" / "tokenizer_2"


def load_clip(part: Part, place: Place, dtype: torch.dtype) -> nn.Module:
    """CLIP as transformers has it, with its projection where the family reads the projected vector.

    Raises:
        UserError: a tensor is missing, or one is of another shape, or the file is torn.
    """
    if place.is_folder:
        module: nn.Module = module_of_folder(encoder_class(part.encoder), place.path, pickles=False, dtype=dtype)
        return module
    encoder = encoder_at(part, place)
    shape = encoder.shape_of(header_shapes(place.path))
    found: Any = encoder_of_file(encoder, shape, {}, in_dtype(place, torch.float32), str(place.path))
    return found.to(dtype)


def load_t5(place: Place, dtype: torch.dtype) -> T5EncoderModel:
    """T5's encoder.

    Raises:
        UserError: as :func:`load_clip`.
    """
    if place.is_folder:
        return module_of_folder(T5EncoderModel, place.path, pickles=False, dtype=dtype)
    shape = t5_shape(header_shapes(place.path), place.prefix)
    module = T5EncoderModel(T5Config(**shape.config())).to(dtype)
    tensors = {name.removeprefix(place.prefix): tensor for name, tensor in in_dtype(place, dtype).items()}
    words = tensors.get("shared.weight", tensors.get("encoder.embed_tokens.weight"))
    tensors |= {name: words for name in ("shared.weight", "encoder.embed_tokens.weight") if words is not None}
    load_exactly(module, tensors, optional_prefix="model.", place=f"{place.path}: T5-XXL")
    return module


def load_vae(place: Place, *, scale: float, shift: float) -> AutoencoderKL:
    """The VAE in float32; ``scale`` and ``shift`` hold for a single file, which does not tell them.

    Raises:
        UserError: as :func:`load_clip`.
    """
    if place.is_folder:
        return module_of_folder(AutoencoderKL, place.path, pickles=False, torch_dtype=torch.float32)
    tensors = {name.removeprefix(place.prefix): t for name, t in in_dtype(place, torch.float32).items()}
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    config = vae_config(vae_channels(shapes), shapes["decoder.conv_in.weight"][1], scale=scale, shift=shift)
    with tempfile.TemporaryDirectory(prefix="lora-tui-") as holder:
        write_configs(Path(holder), vae=config)
        return module_of_file(
            AutoencoderKL, tensors, Path(holder), "vae", str(place.path), list, torch_dtype=torch.float32
        )


def clip_tokenizer(part: Part, place: Place) -> CLIPTokenizer:
    """CLIP's tokenizer: that of the model which the encoder at ``place`` belongs to, or the published one."""
    own = _beside(place, part.encoder.tokenizer)
    if own is not None:
        return CLIPTokenizer.from_pretrained(own, local_files_only=True)
    return CLIPTokenizer.from_pretrained(TOKENIZER, local_files_only=True, pad_token=part.encoder.pad)


def t5_tokenizer(place: Place, name: str, known: int) -> T5Tokenizer:
    """T5's tokenizer, likewise; ``known`` is the vocabulary of an encoder that lies in a folder.

    Raises:
        UserError: it has words that the encoder does not know.
    """
    own = _beside(place, name)
    tokenizer = T5Tokenizer.from_pretrained(own or T5_TOKENIZER, local_files_only=True)
    if not place.is_folder:
        known = t5_shape(header_shapes(place.path), place.prefix).vocabulary
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


def files_of(layout: Layout, places: Mapping[str, Place]) -> tuple[Path, ...]:
    """The files with the weights of every part."""
    found: list[Path] = []
    for name, place in places.items():
        if place.is_folder:
            stem = layout[name].stem if name in layout else DIFFUSERS_STEM
            found += weights_of(place.path.parent, place.path.name, stem).files
        elif place.path not in found:
            found.append(place.path)
    return tuple(found)


def part_files(layout: Layout, places: Mapping[str, Place], part: str) -> tuple[Path, ...]:
    """The files that decide what ``part`` is: weights, and the configuration of a folder."""
    place = places[part]
    if not place.is_folder:
        return (place.path,)
    stem = layout[part].stem if part in layout else DIFFUSERS_STEM
    return deciding_files(place.path.parent, place.path.name, stem)


def in_dtype(place: Place, dtype: torch.dtype) -> dict[str, Tensor]:
    """The weights at ``place`` under their names in the file, in ``dtype``; numbers with a factor multiplied by it."""
    tensors = read_tensors(place.path, prefix=place.prefix)
    return {name: scaled(tensors, name, dtype) for name in tensors if is_weight(name)}


def _beside(place: Place, name: str) -> Path | None:
    """The folder of a tokenizer that lies in the same model as the encoder it belongs to, or beside its file."""
    folder = place.path.parent / name
    return folder if is_folder(folder) else None
