"""Writing an SD1.x model as one checkpoint file in the original layout.

``python -m lora_tui.families.sd15.model_file FOLDER FILE`` does it for programs that have no torch themselves.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from safetensors import safe_open
from torch import Tensor

from lora_tui import __version__
from lora_tui.families.sd15.facts import FACTS
from lora_tui.families.sd15.layout import is_vae_attention, ldm_name
from lora_tui.families.sd15.particulars import KEY, particulars_of_folder
from lora_tui.files import default_mode
from lora_tui.weights.ordered import save_file_ordered

PARTS = ("unet", "vae", "text_encoder")


def single_file_tensors(folder: Path) -> dict[str, Tensor]:
    """The tensors of a diffusers folder under their single-file names.

    Raises:
        OSError: a part is missing.
    """
    tensors: dict[str, Tensor] = {}
    for part in PARTS:
        files = sorted((folder / part).glob("*.safetensors"))
        if not files:
            raise FileNotFoundError(2, "no weights", str(folder / part))
        for file in files:
            with safe_open(file, framework="pt") as source:
                for name in source.keys():  # noqa: SIM118 - not a dictionary
                    if name.endswith("position_ids"):
                        continue
                    tensor = source.get_tensor(name)
                    if part == "vae" and is_vae_attention(name):
                        tensor = tensor[:, :, None, None]
                    tensors[ldm_name(part, name)] = tensor.contiguous()
    return tensors


def model_metadata(folder: Path, *, title: str) -> dict[str, str]:
    """What the file of the model in ``folder`` says of itself: ModelSpec 1.0.1, and what its tensors cannot tell.

    Raises:
        OSError, ValueError, KeyError: a configuration file is missing or says something else.
    """
    side = json.loads((folder / "unet" / "config.json").read_text("utf-8"))["sample_size"] * FACTS.latent_factor
    metadata = {
        "format": "pt",
        "modelspec.sai_model_spec": "1.0.1",
        "modelspec.architecture": FACTS.architecture,
        "modelspec.implementation": "https://github.com/Stability-AI/StableDiffusion",
        "modelspec.title": title,
        "modelspec.resolution": f"{side}x{side}",
        "modelspec.prediction_type": "epsilon",
        "software": json.dumps({"name": "lora-tui", "version": __version__}),
        KEY: particulars_of_folder(folder).as_text(),
    }
    return {name: value for name, value in metadata.items() if value}


def write_single_file(folder: Path, path: Path, *, title: str = "") -> Path:
    """Write the diffusers folder ``folder`` as the checkpoint ``path`` (``.safetensors``), wholly or not at all.

    ``title`` is that of the metadata; empty takes the file's name.

    Raises:
        OSError: a part is missing, or the file cannot be written.
        ValueError, KeyError: a configuration file says something else.
    """
    temporary = path.with_name(f".{path.name}.part")
    try:
        save_file_ordered(single_file_tensors(folder), temporary, model_metadata(folder, title=title or path.stem))
        temporary.chmod(default_mode())  # safetensors writes files that only their owner may read
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def main() -> int:
    """Write the folder named on the command line."""
    parser = argparse.ArgumentParser(prog="python -m lora_tui.families.sd15.model_file")
    parser.add_argument("folder", type=Path)
    parser.add_argument("file", type=Path)
    parser.add_argument("--title", default="")
    options = parser.parse_args()
    write_single_file(options.folder, options.file, title=options.title)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
