"""Writing a model as one checkpoint file in the original layout.

``python -m lora_tui.families.unet.model_file FOLDER FILE`` does it for programs that have no torch themselves; it needs
neither diffusers nor transformers, which take seconds to load.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from lora_tui import __version__
from lora_tui.families import facts_for
from lora_tui.families.unet.encoders import FUSED, PROJECTION, Encoder
from lora_tui.families.unet.facts import UnetFacts
from lora_tui.families.unet.layout import file_name, is_vae_attention
from lora_tui.families.unet.particulars import KEY, particulars_of_folder
from lora_tui.families.unet.prediction import VELOCITY, VELOCITY_MARK, ZERO_MARK, Told, told_by_schedule
from lora_tui.files import sweep_temporaries, written_whole
from lora_tui.weights.header.models import identify_model
from lora_tui.weights.ordered import save_file_ordered


def single_file_tensors(facts: UnetFacts, folder: Path) -> dict[str, Tensor]:
    """The tensors of a diffusers folder under their single-file names.

    Raises:
        OSError: a part is missing.
    """
    tensors: dict[str, Tensor] = {}
    for part in ("unet", "vae"):
        for name, tensor in _part(folder, part).items():
            if part == "vae" and is_vae_attention(name):
                tensor = tensor[:, :, None, None]
            tensors[file_name(facts, part, name)] = tensor.contiguous()
    for encoder in facts.encoders:
        tensors |= file_tensors(encoder, _part(folder, encoder.part))
    told = _told(folder)
    marks = {VELOCITY_MARK: told.prediction == VELOCITY, ZERO_MARK: told.zero_snr}
    return {**tensors, **{mark: torch.zeros(0) for mark, there in marks.items() if there}}


def file_tensors(encoder: Encoder, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A text encoder's ``tensors`` (by transformers' names) as a single file holds them.

    OpenCLIP's layers that nobody reads are written, too, as copies of the last one, for programs that count on them.
    """
    named = {name.removeprefix("text_model."): t for name, t in tensors.items() if not name.endswith("position_ids")}
    if not encoder.open_clip:
        return {encoder.file_name(name): tensor.contiguous() for name, tensor in named.items()}
    last = 1 + max(int(name.split(".")[2]) for name in named if name.startswith("encoder.layers."))
    for extra in range(last, last + encoder.unread):
        beginning = f"encoder.layers.{last - 1}."
        copies = {
            n.replace(beginning, f"encoder.layers.{extra}."): t for n, t in named.items() if n.startswith(beginning)
        }
        named |= copies
    found: dict[str, Tensor] = {}
    for name, tensor in named.items():
        path, _dot, kind = name.rpartition(".")
        if path.endswith(FUSED[0]):
            stem = path.removesuffix(FUSED[0])
            tensor = torch.cat([named[f"{stem}{part}.{kind}"] for part in FUSED])
        elif path.endswith(FUSED[1:]):
            continue
        found[encoder.file_name(name)] = (tensor.T if name == PROJECTION else tensor).contiguous()
    return {name: tensor.clone() for name, tensor in found.items()}


def _part(folder: Path, part: str) -> dict[str, Tensor]:
    """All tensors of a part."""
    tensors: dict[str, Tensor] = {}
    for file in sorted((folder / part).glob("*.safetensors")):
        tensors |= load_file(file)
    if not tensors:
        raise FileNotFoundError(2, "no weights", str(folder / part))
    return tensors


def _told(folder: Path) -> Told:
    path = folder / "scheduler" / "scheduler_config.json"
    return told_by_schedule(json.loads(path.read_text("utf-8")) if path.is_file() else {})


def model_metadata(facts: UnetFacts, folder: Path, *, title: str) -> dict[str, str]:
    """What the file of the model in ``folder`` says of itself: ModelSpec 1.0.1, and what its tensors cannot tell.

    Raises:
        OSError, ValueError, KeyError: a configuration file is missing or says something else.
    """
    side = json.loads((folder / "unet" / "config.json").read_text("utf-8"))["sample_size"] * facts.latent_factor
    prediction = _told(folder).prediction
    metadata = {
        "format": "pt",
        "modelspec.sai_model_spec": "1.0.1",
        "modelspec.architecture": facts.versions(prediction)[1],
        "modelspec.implementation": facts.implementation,
        "modelspec.title": title,
        "modelspec.resolution": f"{side}x{side}",
        "modelspec.prediction_type": "v" if prediction == VELOCITY else prediction,
        "software": json.dumps({"name": "lora-tui", "version": __version__}),
        KEY: particulars_of_folder(facts, folder).as_text(),
    }
    return {name: value for name, value in metadata.items() if value}


def write_single_file(folder: Path, path: Path, *, title: str = "") -> Path:
    """Write the diffusers folder ``folder`` as the checkpoint ``path`` (``.safetensors``), wholly or not at all.

    ``title`` is that of the metadata; empty takes the file's name.

    Raises:
        OSError: a part is missing, or the file cannot be written.
        ValueError, KeyError: a configuration file says something else.
        UserError: there is no model of such a family in the folder.
    """
    facts = facts_for(identify_model(folder).family)
    assert isinstance(facts, UnetFacts)
    sweep_temporaries(path.parent)
    with written_whole(path) as temporary:
        save_file_ordered(
            single_file_tensors(facts, folder), temporary, model_metadata(facts, folder, title=title or path.stem)
        )
    return path


def main() -> int:
    """Write the folder named on the command line."""
    parser = argparse.ArgumentParser(prog="python -m lora_tui.families.unet.model_file")
    parser.add_argument("folder", type=Path)
    parser.add_argument("file", type=Path)
    parser.add_argument("--title", default="")
    options = parser.parse_args()
    write_single_file(options.folder, options.file, title=options.title)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
