"""The model that is trained on: the base, and the parts of it that may lie elsewhere."""

from __future__ import annotations

from typing import Literal

from lora_tui.config.option import option
from lora_tui.config.schema.groups import (
    FAMILY_LABELS,
    TOLD_GUIDANCE,
    UNETS,
    WITH_CLIP_G,
    WITH_CLIP_L,
    WITH_LLM,
    WITH_T5,
    Family,
)
from lora_tui.config.schema.section import Section
from lora_tui.text.translate import N_


class ModelSection(Section):
    """Model"""

    base: str = option(
        "",
        N_("base model"),
        N_(
            "The checkpoint the LoRA is trained on: a .safetensors file, a diffusers folder, or a hub name such as "
            "owner/model. A LoRA works best on the model it was trained on and on its relatives."
        ),
        path="model",
        peers=("pretrained_model_name_or_path", "base_model_name"),
    )
    family: Family = option(
        "sd15",
        N_("family"),
        N_("The architecture of the base model. A file of another family is refused before anything loads."),
        labels=FAMILY_LABELS,
        peers=("model_train_type", "v2", "arch"),
    )
    prediction: Literal["auto", "epsilon", "v_prediction"] = option(
        "auto",
        N_("prediction"),
        N_(
            "What the base model predicts: noise (epsilon) or velocity (v). auto reads it from the model's files; only "
            "single files of SD2 never say it: those of 768 px predict velocity, those of 512 px noise."
        ),
        labels=(
            ("auto", N_("as its files say")),
            ("epsilon", N_("noise (epsilon)")),
            ("v_prediction", N_("velocity (v)")),
        ),
        expert=True,
        families=UNETS,
        peers=("v_parameterization", "is_v_pred"),
    )
    loras: list[str] = option(
        None,
        N_("merged LoRAs"),
        N_(
            "LoRA files merged into the base model before anything is trained, so that the new one stands upon them: "
            "style.safetensors strength=0.7. The files and the base model stay as they are. Use the new LoRA together "
            "with them, at the same strengths."
        ),
        factory=list,
        expert=True,
        path="file",
        peers=("base_weights", "base_weights_multiplier", "assistant_lora_path"),
    )
    vae: str = option(
        "",
        N_("separate VAE"),
        N_("A VAE file or folder that replaces the one in the base model. Empty uses the base model's own."),
        expert=True,
        path="model",
        peers=("vae",),
    )
    clip_l: str = option(
        "",
        "CLIP-L",
        N_(
            "The text encoder clip_l.safetensors, or a folder with it, where the base model is the transformer alone. "
            "Empty uses the base model's own."
        ),
        path="model",
        families=WITH_CLIP_L,
        peers=("clip_l", "clip_l_path"),
    )
    clip_g: str = option(
        "",
        "CLIP-G",
        N_(
            "The text encoder clip_g.safetensors, or a folder with it, where the base model is the transformer alone. "
            "Empty uses the base model's own."
        ),
        path="model",
        families=WITH_CLIP_G,
        peers=("clip_g", "clip_g_path"),
    )
    t5xxl: str = option(
        "",
        "T5-XXL",
        N_(
            "The text encoder t5xxl.safetensors (bf16, fp16 or fp8), or a folder with it, where the base model is the "
            "transformer alone. Empty uses the base model's own."
        ),
        path="model",
        families=WITH_T5,
        peers=("t5xxl", "t5xxl_path"),
    )
    llm: str = option(
        "",
        N_("language model"),
        N_(
            "The text encoder qwen_3_4b.safetensors (qwen_3_8b for FLUX.2 klein 9B, qwen_2.5_vl_7b for Qwen-Image), or "
            "a folder with it, where the base model is the transformer alone. Empty uses the base model's own."
        ),
        path="model",
        families=WITH_LLM,
        peers=("text_encoder", "qwen3"),
    )
    tokenizer: str = option(
        "",
        N_("tokenizer"),
        N_(
            "The folder tokenizer of the published model, or that model's folder or hub name. A language model in a "
            "single file needs it, unless that folder lies beside it. Empty uses the base model's own."
        ),
        path="model",
        families=WITH_LLM,
        peers=("tokenizer_path",),
    )
    guidance: float = option(
        1.0,
        N_("trained guidance"),
        N_(
            "The strength of guidance that the network is told while it learns; FLUX.1 dev takes one. 1 is usual: the "
            "LoRA then serves at any strength."
        ),
        ge=0,
        le=100,
        expert=True,
        families=TOLD_GUIDANCE,
        peers=("guidance_scale",),
    )
    clip_skip: int = option(
        2,
        N_("clip skip"),
        N_(
            "Which layer of the text encoder is read, counted from the end: 1 is the last, 2 the one before it. "
            "Use what the base model is used with; 2 is usual for SD1.5."
        ),
        ge=1,
        le=12,
        families=("sd15",),
        peers=("clip_skip",),
    )
    allow_pickle: bool = option(
        False,
        N_("allow .ckpt files"),
        N_(
            "Pickled checkpoints can carry programs. When on, such a file is read through torch's weights-only "
            "reader, which refuses everything but tensors. Prefer .safetensors."
        ),
        expert=True,
    )
