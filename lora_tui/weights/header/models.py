"""Which family a model file or folder belongs to, and what part of a model it is, by its tensor names and shapes.

Names decide first, widths second, so that a small model of the same structure is recognised like the full one.
Sources: the layouts of the CompVis and Stability repositories (``model.diffusion_model.``), of Black Forest
Labs (``double_blocks.``) and of diffusers (``down_blocks.``, ``transformer_blocks.``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lora_tui.errors import UserError
from lora_tui.files import open_file
from lora_tui.text import _, plain
from lora_tui.weights.header.format import TensorInfo, looks_pickled, read_header, unreadable

Tensors = Mapping[str, TensorInfo]

UNKNOWN = "unknown"
CROSS_WIDTHS = {768: "sd15", 1024: "sd2", 1280: "sdxl", 2048: "sdxl"}
"""Width of the text features that the UNet attends to; 1280 is the SDXL refiner's."""
PIPELINES = (
    ("StableDiffusionXL", "sdxl"),
    ("StableDiffusion3", "sd3"),
    ("Flux2", "flux2"),
    ("Flux", "flux"),
    ("Chroma", "chroma"),
    ("QwenImage21", UNKNOWN),
    ("QwenImage", "qwen"),
    ("ZImage", "zimage"),
)
"""Beginnings of the class names in ``model_index.json``, the more specific first."""
TEXT_ENCODERS = (
    "text_model.embeddings.",
    "embeddings.token_embedding.",
    "encoder.block.0.layer.0.SelfAttention.",
    "model.layers.0.self_attn.",
    "layers.0.self_attn.",
)
"""Beginnings of names in files of CLIP, T5 and language models."""
LORA_ENDINGS = (
    ".lora_down.weight",
    ".lora.up.weight",
    "_lora.down.weight",
    "_lora.up.weight",
    ".lora_A.weight",
    ".lora_B.weight",
    ".lora.down.weight",
    ".lora.up.weight",
    "_lora.down.weight",
    "_lora.up.weight",
    ".hada_w1_a",
    ".lokr_w1",
    ".lokr_w1_a",
    ".oft_blocks",
    ".oft_diag",
    ".oft_R.weight",
    ".dora_scale",
    ".on_input",
    ".a1.weight",
    ".diff",
)


@dataclass(frozen=True)
class ModelKind:
    """What a file or folder is.

    Attributes:
        family: ``sd15``, ``sd2``, ``sdxl``, ``sd3``, ``flux``, ``flux2``, ``chroma``, ``zimage``, ``qwen``
            or ``unknown``.
        kind: ``checkpoint`` (one file with all parts), ``unet`` (the image model alone, transformers too),
            ``vae``, ``text_encoder``, ``lora``, ``controlnet``, ``embedding``, ``diffusers`` (a folder),
            ``pickle``, ``gguf`` or ``unknown``.
        detail: what is special, in words; empty when nothing is.
    """

    family: str
    kind: str
    detail: str = ""


def identify_model(path: Path) -> ModelKind:
    """What ``path`` is: a single file by its first bytes, a folder by its configuration files.

    Raises:
        UserError: it cannot be read, or it is a torn or damaged safetensors file.
    """
    if path.is_dir():
        return _folder(path)
    try:
        with open_file(path) as file:  # a pipe is never waited for
            first = file.read(8)
    except OSError as error:
        raise unreadable(path, error) from None
    if looks_pickled(first):
        return ModelKind(UNKNOWN, "pickle", _("a pickled file, which could run programs when opened"))
    if first.startswith(b"GGUF"):
        return ModelKind(UNKNOWN, "gguf", _("a quantised GGUF file"))
    return identify_tensors(read_header(path).tensors)


def identify_tensors(tensors: Tensors) -> ModelKind:
    """What a file with these tensors is."""
    if is_lora(tensors):
        from lora_tui.weights.header.loras import lora_family

        return ModelKind(lora_family(tensors, {}), "lora")
    if _any(tensors, "control_model.", "controlnet_cond_embedding.", "input_hint_block."):
        return ModelKind(_image_model_family(tensors), "controlnet")
    if "emb_params" in tensors or "clip_l" in tensors:
        return ModelKind(UNKNOWN, "embedding")
    family = _image_model_family(tensors)
    if family != UNKNOWN:
        whole = _any(tensors, "first_stage_model.", "vae.") or _any(
            tensors, "cond_stage_model.", "conditioner.", "text_encoders."
        )
        return ModelKind(family, "checkpoint" if whole else "unet", _special(tensors))
    if _is_vae(tensors):
        return ModelKind(_vae_family(tensors), "vae")
    if _any(tensors, *TEXT_ENCODERS):
        return ModelKind(UNKNOWN, "text_encoder")
    return ModelKind(UNKNOWN, UNKNOWN)


_NAMED_ADAPTER = re.compile(r"\.lora_[AB]\.\w+\.weight\Z")
"""As peft keeps them within a model, with the adapter's name."""


def is_lora(tensors: Tensors) -> bool:
    """Whether the tensors are an adapter's rather than a model's."""
    return any(name.endswith(LORA_ENDINGS) or _NAMED_ADAPTER.search(name) for name in tensors)


def _any(tensors: Tensors, *beginnings: str) -> bool:
    return any(name.startswith(beginnings) for name in tensors)


def _image_model_family(tensors: Tensors) -> str:
    """The family of the UNet or transformer among ``tensors``, whichever names it goes by."""
    names = {
        name.removeprefix("model.").removeprefix("diffusion_model.").removeprefix("control_model."): name
        for name in tensors
    }

    def has(*beginnings: str) -> bool:
        return any(name.startswith(beginnings) for name in names)

    if has("distilled_guidance_layer."):
        return "chroma"
    if has("double_stream_modulation_img."):
        return "flux2"
    if has("double_blocks.0.img_attn.", "single_transformer_blocks."):
        return "flux"
    if has("transformer_blocks.0.img_mod."):
        return "qwen"
    if has("joint_blocks.") or ("context_embedder.weight" in names and has("pos_embed.proj.")):
        return "sd3"
    if has("noise_refiner.") and has("context_refiner.") and "cap_pad_token" in names:  # Lumina 2 has no such
        return "zimage"
    if has("input_blocks.0.0.", "down_blocks.0.resnets."):
        return _unet_family({short: tensors[name] for short, name in names.items()}, tensors)
    return UNKNOWN


def _unet_family(unet: Tensors, whole: Tensors) -> str:
    if _any(whole, "conditioner.embedders.") or _any(unet, "label_emb.", "add_embedding."):
        return "sdxl"
    if _any(whole, "cond_stage_model.model."):
        return "sd2"
    if _any(whole, "cond_stage_model.transformer."):
        return "sd15"
    widths = (t.shape[-1] for name, t in unet.items() if name.endswith("attn2.to_k.weight"))
    known = CROSS_WIDTHS.get(next(widths, 0))
    if known:
        return known
    linear = any(name.endswith("proj_in.weight") and len(t.shape) == 2 for name, t in unet.items())
    attends = any(name.endswith("attn2.to_k.weight") for name in unet)
    return ("sd2" if linear else "sd15") if attends else UNKNOWN


def _special(tensors: Tensors) -> str:
    """What sets a UNet apart from the plain model of its family: its input channels, say."""
    for name in ("model.diffusion_model.input_blocks.0.0.weight", "input_blocks.0.0.weight", "conv_in.weight"):
        channels = tensors[name].shape[1] if name in tensors and len(tensors[name].shape) == 4 else 4
        if channels == 9:
            return _("an inpainting model (9 input channels)")
        if channels == 8:
            return _("an image-editing model (8 input channels)")
    if any(name.endswith(("time_embed.cond_proj.weight", "time_embedding.cond_proj.weight")) for name in tensors):
        return _("a latent consistency model (LCM), whose UNet is told the guidance")
    if _any(tensors, "conditioner.embedders.0.model.") and not _any(tensors, "conditioner.embedders.1."):
        return _("the SDXL refiner")
    return ""


def _is_vae(tensors: Tensors) -> bool:
    return _any(
        tensors,
        "encoder.conv_in.",
        "first_stage_model.encoder.conv_in.",
        "decoder.conv_in.",
        "decoder.conv_out.",
        "decoder.middle.0.residual.",
    )


def _vae_family(tensors: Tensors) -> str:
    """``sd15`` stands for the 4-channel VAE that SD1.5, SD2 and SDXL share; 16 channels are SD3's and FLUX's."""
    for name, tensor in tensors.items():
        if name.endswith("decoder.conv_in.weight") and len(tensor.shape) == 4 and tensor.shape[1] == 4:
            return "sd15"
    return UNKNOWN


def _folder(path: Path) -> ModelKind:
    index = _json(path / "model_index.json")
    if index is not None:
        pipeline = str(index.get("_class_name", ""))
        family = next((family for start, family in PIPELINES if pipeline.startswith(start)), UNKNOWN)
        if family == UNKNOWN and pipeline.startswith(("StableDiffusion", "LatentConsistency")):
            family = _config_family(_json(path / "unet" / "config.json") or {})
        return ModelKind(family, "diffusers", "" if family != UNKNOWN else plain(pipeline, limit=80))
    config = _json(path / "config.json") or {}
    name = str(config.get("_class_name") or (config.get("architectures") or [""])[0])
    if name == "UNet2DConditionModel":
        return ModelKind(_config_family(config), "unet")
    if name.endswith("Transformer2DModel"):
        return ModelKind(next((family for start, family in PIPELINES if name.startswith(start)), UNKNOWN), "unet")
    if name.startswith("AutoencoderKL"):
        return ModelKind("sd15" if config.get("latent_channels") == 4 else UNKNOWN, "vae")
    if name.startswith(("CLIPText", "T5Encoder", "Qwen")):
        return ModelKind(UNKNOWN, "text_encoder")
    return ModelKind(UNKNOWN, UNKNOWN, _("a folder without model_index.json"))


def _config_family(config: Mapping[str, Any]) -> str:
    if config.get("addition_embed_type") == "text_time":
        return "sdxl"
    width = config.get("cross_attention_dim")
    known = CROSS_WIDTHS.get(width) if isinstance(width, int) else None
    return known or ("sd2" if config.get("use_linear_projection") else "sd15")


def _json(path: Path) -> dict[str, Any] | None:
    """The JSON object in ``path``; none when there is no such file.

    Raises:
        UserError: the file is there and is no JSON object.
    """
    try:
        with open_file(path) as file:  # a pipe is never waited for
            value = json.loads(file.read())
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise UserError(
            _("it is no readable JSON object."),
            place=plain(str(path)),
            remedy=_("The model folder is damaged; fetch it again."),
            code="weights.folder",
        )
    return value
