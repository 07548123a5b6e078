"""Writes the finished parts as they ship: a diffusers folder in fp16, and the image encoder beside it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextModel

from lora_tui.files import default_mode
from lora_tui.weights.ordered import save_file_ordered
from tools.micro.layout import ASSETS, SIDE, make_scheduler
from tools.micro.tokens import Words

LICENCE = "Apache-2.0"


def write_pipeline(folder: Path, modules: dict[str, Any], tokenizer: Path) -> None:
    """Write UNet, VAE, text encoder, tokenizer and scheduler to ``folder``; modules are turned into fp16."""
    folder.mkdir(parents=True, exist_ok=True)
    modules["unet"].register_to_config(sample_size=SIDE // 8)
    for name in ("unet", "vae", "text_encoder"):
        modules[name].half().save_pretrained(folder / name, safe_serialization=True)
    make_scheduler().save_pretrained(folder / "scheduler")
    shutil.copytree(tokenizer, folder / "tokenizer", dirs_exist_ok=True)
    index = json.loads((ASSETS / "model_index.json").read_text(encoding="utf-8"))
    (folder / "model_index.json").write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
    _open_up(folder)


def read_pipeline(folder: Path) -> dict[str, Any]:
    """The modules of a finished model and its words, in fp32, as :mod:`tools.micro.examine` draws with them."""
    return {
        "unet": UNet2DConditionModel.from_pretrained(folder / "unet").float().eval(),
        "vae": AutoencoderKL.from_pretrained(folder / "vae").float().eval(),
        "text_encoder": CLIPTextModel.from_pretrained(folder / "text_encoder").float().eval(),
        "words": Words(folder / "tokenizer"),
    }


def write_encoder(path: Path, encoder: Any) -> None:
    """Write the image encoder in fp16."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {name: value.half().contiguous() for name, value in encoder.state_dict().items()}
    save_file_ordered(tensors, path, {"modelspec.license": LICENCE, "modelspec.title": "Drawn likeness"})
    path.chmod(default_mode())


def _open_up(folder: Path) -> None:
    """Files of safetensors may be read by their owner alone; what ships may be read by everybody."""
    for path in folder.rglob("*"):
        if path.is_file():
            path.chmod(default_mode())
