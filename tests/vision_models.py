"""Small random CLIP, SigLIP and DINOv2 models in transformers' layout, such as people name for scores."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch

from lora_tui.demo.project import MICRO

SIDE = 32


def write_clip(folder: Path) -> Path:
    """CLIP with the tokenizer of the micro model."""
    from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel

    shutil.copytree(MICRO / "tokenizer", folder)
    small = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = {**small, "vocab_size": 1600, "max_position_embeddings": 77, "eos_token_id": 1599}
    config = CLIPConfig(
        text_config={**text, "projection_dim": 24},
        vision_config={**small, "image_size": SIDE, "patch_size": 8, "projection_dim": 24}, projection_dim=24,
    )  # fmt: skip
    torch.manual_seed(1)
    CLIPModel(config).save_pretrained(folder)
    CLIPImageProcessorPil(size={"shortest_edge": SIDE}, crop_size=SIDE).save_pretrained(folder)
    return folder


def write_siglip(folder: Path) -> Path:
    """SigLIP with a tokenizer of letters."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast, SiglipConfig, SiglipImageProcessorPil, SiglipModel

    signs = ["<pad>", "</s>", "<unk>", *"abcdefghijklmnopqrstuvwxyz, "]
    tokenizer = Tokenizer(models.WordLevel({sign: number for number, sign in enumerate(signs)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>",
        model_input_names=["input_ids"],
    )  # fmt: skip
    wrapped.save_pretrained(folder)
    small = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = {**small, "vocab_size": len(signs), "max_position_embeddings": 64, "pad_token_id": 0, "eos_token_id": 1}
    config = SiglipConfig(
        text_config={**text, "bos_token_id": 1}, vision_config={**small, "image_size": SIDE, "patch_size": 8}
    )
    torch.manual_seed(2)
    SiglipModel(config).save_pretrained(folder)
    SiglipImageProcessorPil(size={"height": SIDE, "width": SIDE}).save_pretrained(folder)
    return folder


def write_dinov2(folder: Path) -> Path:
    """DINOv2, which has no text."""
    from transformers import BitImageProcessorPil, Dinov2Config, Dinov2Model

    config = Dinov2Config(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, mlp_ratio=2, image_size=SIDE, patch_size=8
    )
    torch.manual_seed(3)
    Dinov2Model(config).save_pretrained(folder)
    BitImageProcessorPil(size={"shortest_edge": 40}, crop_size=SIDE).save_pretrained(folder)
    return folder
