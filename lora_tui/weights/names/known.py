"""Every name that a LoRA file may have for a layer, whichever program wrote it. Needs no torch."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from lora_tui.weights.names import names_for
from lora_tui.weights.names.flux_original import layer_of, original_of
from lora_tui.weights.names.originals import ORIGINALS
from lora_tui.weights.names.sgm import sgm_path
from lora_tui.weights.names.zimage_original import OUTER


def known_names(family: str, part: str, path: str) -> Iterator[str]:
    """Every name that a file may have for the layer at dotted ``path`` of ``part``; the family's own comes first.

    They are kohya's, with the UNet's blocks as diffusers or as the original repository counts them, those of diffusers
    and peft, ComfyUI's with dots, OneTrainer's of both its generations, and those of LyCORIS by itself.

    Raises:
        KeyError: there is no such family or part.
    """
    yield names_for(family).tensor_name(part, path, "alpha").removesuffix(".alpha")
    flat = path.replace(".", "_")
    text = part.startswith("text_encoder")
    for prefix in ("", "base_model.model."):
        yield f"{prefix}{part}.{path}"
        yield f"{prefix}{part}.text_model.{path}" if text else f"{prefix}{path}"
    if text:
        clip = "clip_g" if part == "text_encoder_2" else "clip_l"
        yield f"lora_te{2 if part == 'text_encoder_2' else 1}_text_model_{flat}"
        yield from (f"{clip}.text_model.{path}", f"text_encoders.{clip}.transformer.text_model.{path}")
    elif part == "unet":
        yield f"lora_unet_{flat}"
        yield f"lycoris_{flat}"
        if original := _original_unet(family, path):
            yield f"lora_unet_{original.replace('.', '_')}"
            yield from (f"unet.{original}", f"diffusion_model.{original}")
    elif part == "transformer":
        yield f"lora_transformer_{flat}"
        yield f"lycoris_{flat}"
        yield from (f"diffusion_model.{path}", f"lora_unet_{flat}")  # ai-toolkit's, musubi-tuner's
        if path.startswith("time_guidance_embed."):  # in their makers' names nothing tells FLUX.2's from FLUX.1's
            yield f"transformer.{path.replace('time_guidance_embed.', 'time_text_embed.', 1)}"
        yield from _pieces(path)
        if family == "zimage":
            yield from _outside_blocks(path)


def _outside_blocks(path: str) -> Iterator[str]:
    """ComfyUI's names of Z-Image's layers outside its blocks, and what a reader makes of them: others have them too.

    The last modulation is left out: the halves of others' of that name are read in turned order.
    """
    for original in (name for name, own in OUTER.items() if own == path and "adaLN" not in name):
        yield f"diffusion_model.{original}"
        for others in ORIGINALS.values():
            with contextlib.suppress(KeyError):
                yield from (f"transformer.{piece.path}" for piece in others.layer_of(original))


def _original_unet(family: str, path: str) -> str:
    try:
        return sgm_path(path, top_attends=family == "sdxl")
    except ValueError:  # a layer of its own, which the original does not have
        return ""


def _pieces(path: str) -> Iterator[str]:
    """OneTrainer's names of FLUX.1: a layer that is one of several in the original has its number behind it."""
    try:
        original, place = original_of(path)
    except KeyError:
        return
    if len(layer_of(original)) > 1:
        yield f"transformer.{original}.{place}"
    elif original == "img_in":
        yield "transformer.img_in.proj"
