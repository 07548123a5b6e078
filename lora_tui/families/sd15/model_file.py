"""Writing an SD1.x model as one checkpoint file in the original layout."""

from __future__ import annotations

from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from lora_tui.families.sd15.layout import is_vae_attention, ldm_name
from lora_tui.files import default_mode

PARTS = ("unet", "vae", "text_encoder")


def single_file_tensors(folder: Path) -> dict[str, Tensor]:
    """The tensors of a diffusers folder under their single-file names.

    Raises:
        OSError: a part is missing.
    """
    tensors: dict[str, Tensor] = {}
    for part in PARTS:
        for file in sorted((folder / part).glob("*.safetensors")):
            with safe_open(file, framework="pt") as source:
                for name in source.keys():  # noqa: SIM118 - not a dictionary
                    if name.endswith("position_ids"):
                        continue
                    tensor = source.get_tensor(name)
                    if part == "vae" and is_vae_attention(name):
                        tensor = tensor[:, :, None, None]
                    tensors[ldm_name(part, name)] = tensor.contiguous()
    if not tensors:
        raise FileNotFoundError(2, "no weights", str(folder))
    return tensors


def write_single_file(folder: Path, path: Path) -> Path:
    """Write the diffusers folder ``folder`` as the checkpoint ``path`` (``.safetensors``)."""
    save_file(single_file_tensors(folder), path, metadata={"format": "pt"})
    path.chmod(default_mode())  # safetensors writes files that only their owner may read
    return path
