"""Small LoRA files of every family, with the layers and the names of real ones; their numbers can be spoiled."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from lora_tui.families import facts_for
from lora_tui.families.protocol import TargetModule
from lora_tui.weights.lora_file import file_tensors, write_lora
from lora_tui.weights.names import Layout

TAGS = {"10_hat": {"hatgirl": 12, "1girl": 9, "smile": 3}}
METADATA = {
    "ss_output_name": "hat girl",
    "ss_steps": "120",
    "ss_network_dim": "4",
    "ss_sd_model_name": "base.safetensors",
    "ss_sd_model_hash": "abcd1234",
    "ss_unet_lr": "0.0001",
    "ss_optimizer": "adamw",
    "ss_tag_frequency": json.dumps(TAGS),
    "ss_dataset_dirs": json.dumps({"10_hat": {"img_count": 12, "n_repeats": 10}}),
    "modelspec.trigger_phrase": "hatgirl",
}


def layers_of(family: str, count: int, *, text: int = 0) -> list[TargetModule]:
    """``count`` layers of what draws, from its first to its last, and ``text`` ones of the first text encoder."""
    targets = facts_for(family).targets()
    drawing = [target for target in targets if not target.part.startswith("text_encoder")]
    drawing = [drawing[number * (len(drawing) - 1) // max(count - 1, 1)] for number in range(count)]
    return drawing + [target for target in targets if target.part == "text_encoder"][:text]


def sides(target: TargetModule) -> tuple[int, ...]:
    """The sides of a convolution's kernel; none of a linear layer."""
    return (target.kernel, target.kernel) if target.convolution else ()


def tensors_of(
    family: str = "sd15",
    *,
    count: int = 4,
    text: int = 1,
    rank: int = 4,
    alpha: float = 2.0,
    layout: Layout = "auto",
    dtype: torch.dtype = torch.float16,
    seed: int = 0,
) -> dict[str, Tensor]:
    """Named tensors of a LoRA file, as wide as those of the published model."""
    chance = torch.Generator().manual_seed(seed)
    layers = {
        (one.part, one.path): {
            "lora_down.weight": torch.randn(rank, one.inputs, *sides(one), generator=chance) * 0.05,
            "lora_up.weight": torch.randn(one.outputs, rank, *[1 for _ in sides(one)], generator=chance) * 0.05,
            "alpha": torch.tensor(alpha),
        }
        for one in layers_of(family, count, text=text)
    }
    return file_tensors(family, layers, dtype=dtype, layout=layout)


def write_small(
    path: Path, tensors: Mapping[str, Tensor] | None = None, metadata: Mapping[str, str] = METADATA
) -> Path:
    """A LoRA file with its hashes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_lora(path, tensors if tensors is not None else tensors_of(), metadata)
    return path


def write_raw(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> Path:
    """A file of just these tensors, as other programs write it."""
    save_file({name: one.contiguous() for name, one in tensors.items()}, path, dict(metadata or {}))
    return path
