"""Models of the family sd15 that are whole by names and headers, made without torch; their tensors are zeros."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

from lora_tui.families.sd15.facts import FACTS
from lora_tui.families.separate.tensors import clip_tensors
from lora_tui.families.unet.layout import file_name
from lora_tui.families.unet.shape import Shape as UnetShape
from lora_tui.families.unet.shape import TextShape
from lora_tui.families.unet.tensors import own_vae_tensors, unet_tensors

Shapes = Mapping[str, tuple[int, ...]]
WIDTH, LAYERS = 8, 2
TEXT = TextShape(width=WIDTH, layers=LAYERS, inner=WIDTH, vocabulary=100)
WIDTHS = (8, 16, 32, 32)  # in the proportions of the published ones: what a configuration does not tell fits them
SHAPE = UnetShape(unet_channels=WIDTHS, cross_width=WIDTH, text=(TEXT,), vae_channels=WIDTHS)

DIFFUSERS, TRANSFORMERS = "diffusion_pytorch_model.safetensors", "model.safetensors"


def write_safetensors(path: Path, shapes: Shapes) -> Path:
    """A file with tensors of these shapes in half precision."""
    header, offset = {}, 0
    for name, shape in shapes.items():
        size = 2 * math.prod(shape)
        header[name] = {"dtype": "F16", "shape": list(shape), "data_offsets": [offset, offset + size]}
        offset += size
    data = json.dumps(header).encode()
    path.write_bytes(len(data).to_bytes(8, "little") + data + bytes(offset))
    return path


def unet_shapes() -> dict[str, tuple[int, ...]]:
    return unet_tensors(SHAPE)


def text_shapes() -> dict[str, tuple[int, ...]]:
    return clip_tensors(TEXT)


def vae_shapes() -> dict[str, tuple[int, ...]]:
    return own_vae_tensors(SHAPE)


def checkpoint_shapes() -> dict[str, tuple[int, ...]]:
    """The same model in one file, in the original layout."""
    parts = {"unet": unet_shapes(), "text_encoder": text_shapes(), "vae": vae_shapes()}
    return {file_name(FACTS, part, name): shape for part, own in parts.items() for name, shape in own.items()}


def write_checkpoint(path: Path) -> Path:
    return write_safetensors(path, checkpoint_shapes())


def write_vae(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"_class_name": "AutoencoderKL", "latent_channels": 4}))
    write_safetensors(folder / DIFFUSERS, vae_shapes())
    return folder


def write_folder(folder: Path) -> Path:
    """The same model as a folder in diffusers' layout."""
    for part in ("unet", "text_encoder", "tokenizer", "scheduler"):
        (folder / part).mkdir(parents=True)
    (folder / "model_index.json").write_text('{"_class_name": "StableDiffusionPipeline"}')
    unet = {"_class_name": "UNet2DConditionModel", "in_channels": 4, "out_channels": 4, "cross_attention_dim": WIDTH}
    (folder / "unet" / "config.json").write_text(json.dumps(unet))
    write_safetensors(folder / "unet" / DIFFUSERS, unet_shapes())
    (folder / "text_encoder" / "config.json").write_text(json.dumps({"num_hidden_layers": LAYERS}))
    write_safetensors(folder / "text_encoder" / TRANSFORMERS, text_shapes())
    write_vae(folder / "vae")
    (folder / "tokenizer" / "vocab.json").write_text('{"a": 0, "b</w>": 1, "ab</w>": 2}')
    (folder / "tokenizer" / "merges.txt").write_text("#version: 0.2\na b</w>\n")
    (folder / "scheduler" / "scheduler_config.json").write_text('{"prediction_type": "epsilon"}')
    return folder


def into_shards(folder: Path, stem: str, shapes: Shapes) -> Path:
    """Replace the one file of a part's weights by two and their index; return the index."""
    (folder / f"{stem}.safetensors").unlink()
    names = sorted(shapes)
    halves = {"00001": names[::2], "00002": names[1::2]}
    listed = {}
    for number, half in halves.items():
        file = f"{stem}-{number}-of-00002.safetensors"
        write_safetensors(folder / file, {name: shapes[name] for name in half})
        listed |= dict.fromkeys(half, file)
    index = folder / f"{stem}.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": listed}))
    return index
