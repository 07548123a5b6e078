"""What becomes of a LoRA in its file, family by family: trained, saved, read back by diffusers and by our own reader.

``python tests/trainer/interop_table.py`` writes the table into docs/lora-files.md.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from lora_tui.bench.flux_model import write_flux_model
from lora_tui.bench.model import write_model
from lora_tui.config.schema import CaptionSection, ModelSection, NetworkSection
from lora_tui.families import open_model
from lora_tui.families.protocol import Framing, latent_shape
from lora_tui.trainer.adapters.kinds import attach
from lora_tui.weights.lora_file import file_tensors, write_lora
from lora_tui.weights.reading import layers_by_name, read_lora

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "lora-files.md"
START, END = "<!-- table -->\n", "<!-- end of table -->\n"
ADAPTERS = {"sd15": ("lora", "locon"), "sd2": ("lora", "locon"), "sdxl": ("lora", "locon"), "flux": ("lora",)}
HEAD = ("family", "adapter", "layout", "layers", "trained", "diffusers reads it", "we read it")
CPU = torch.device("cpu")
Deltas = dict[tuple[str, str], Tensor]


@dataclass(frozen=True)
class Row:
    """One line of the table; the last three are whether all layers were the same to the bit or within rounding."""

    family: str
    adapter: str
    layout: str
    layers: int
    trained: bool
    by_diffusers: bool
    by_us: bool

    def cells(self) -> Iterator[str]:
        for value in vars(self).values():
            yield {True: "yes", False: "**no**"}.get(value, str(value)) if isinstance(value, bool) else str(value)


def rows(folder: Path) -> list[Row]:
    """Every family with every adapter, on micro models in ``folder``, with an alpha that is not the rank."""
    found = []
    for family, adapters in ADAPTERS.items():
        base = _base(family, folder / family)
        pipe = _pipeline(family, base)
        for adapter in adapters:
            found += _of_adapter(family, adapter, base, pipe, folder)
    return found


def _base(family: str, folder: Path) -> Path:
    if family == "flux":
        return write_flux_model(folder, seed=7)
    schedule = {"prediction_type": "v_prediction"} if family == "sd2" else None
    return write_model(folder, seed=7, family=family, schedule=schedule)


def _of_adapter(family: str, kind: str, base: Path, pipe: Any, folder: Path) -> Iterator[Row]:
    section = ModelSection(base=str(base), family=family)  # type: ignore[arg-type]
    model = open_model(section, CaptionSection(), device=CPU, dtype=torch.float32)
    network = NetworkSection(type=kind, rank=4, alpha=1.5, conv_rank=2, conv_alpha=0.5)  # type: ignore[arg-type]
    modules = model.adapted_modules(text_encoder=True)
    targets = model.targets(text_encoder=True, convolutions=network.convolutions)
    adapter = attach(network, modules, targets, seed=1, device=CPU)
    generator = torch.Generator().manual_seed(2)
    exported = adapter.export()
    for tensors in exported.values():  # a fresh LoRA is nothing: give it something to say
        up = tensors["lora_up.weight"]
        up.data.copy_(torch.randn(up.shape, generator=generator) * 0.05)
    wanted = {place: _delta(t["lora_down.weight"], t["lora_up.weight"], t["alpha"]) for place, t in exported.items()}
    path = folder / f"{family}-{kind}.safetensors"
    write_lora(path, file_tensors(family, exported, dtype=torch.float32), {})
    trained = _all_learn(model, exported)

    pipe.load_lora_weights(load_file(path), adapter_name="a")
    by_diffusers, by_us = _same(wanted, _of_pipeline(pipe)), _same(wanted, _ours(family, path, wanted))
    yield Row(family, kind, "dotted" if family == "flux" else "kohya", len(wanted), trained, by_diffusers, by_us)
    theirs = _saved_by_diffusers(pipe, folder / f"{family}-{kind}-diffusers")
    pipe.unload_lora_weights()
    pipe.load_lora_weights(str(theirs.parent), weight_name=theirs.name, adapter_name="a")
    by_diffusers, by_us = _same(wanted, _of_pipeline(pipe)), _same(wanted, _ours(family, theirs, wanted))
    yield Row(family, kind, "diffusers", len(wanted), trained, by_diffusers, by_us)
    pipe.unload_lora_weights()


def _all_learn(model: Any, exported: dict[tuple[str, str], dict[str, Tensor]]) -> bool:
    """Whether every layer gets a gradient, but those of a text encoder that are behind the layer that is read."""
    told = model.encode_text(model.tokenize(["a red disc"], model.text_length(["a red disc"])))
    told |= model.picture_conditioning([Framing((128, 128), (0, 0), (128, 128))])
    noisy = torch.randn(1, *latent_shape(model.facts, 128, 128), generator=torch.Generator().manual_seed(3))
    model.predict(noisy, torch.tensor([500]), told).square().mean().backward()
    silent = [
        place for place, t in exported.items() if t["lora_up.weight"].grad is None or not t["lora_up.weight"].grad.any()
    ]
    return all(part.startswith("text_encoder") and ".layers.1." in path for part, path in silent)


def _delta(down: Tensor, up: Tensor, alpha: Any) -> Tensor:
    """What is added to a layer's weight: up @ down * alpha / rank, [outputs, inputs, ...]."""
    return (up.detach().flatten(1) @ down.detach().flatten(1)) * (float(alpha) / down.shape[0])


def _pipeline(family: str, base: Path) -> Any:
    from diffusers import FluxPipeline, StableDiffusionPipeline, StableDiffusionXLPipeline

    kind = {"sdxl": StableDiffusionXLPipeline, "flux": FluxPipeline}.get(family, StableDiffusionPipeline)
    return kind.from_pretrained(base, local_files_only=True, torch_dtype=torch.float32)


def _parts(pipe: Any) -> dict[str, nn.Module]:
    inner = {name: getattr(getattr(pipe, name), "text_model", getattr(pipe, name)) for name in _encoders(pipe)}
    return {_denoiser(pipe): getattr(pipe, _denoiser(pipe)), **inner}


def _denoiser(pipe: Any) -> str:
    return "unet" if hasattr(pipe, "unet") else "transformer"


def _encoders(pipe: Any) -> list[str]:
    """The encoders of CLIP, which are trained; FLUX's T5 is not."""
    return [name for name in ("text_encoder", "text_encoder_2") if "CLIP" in type(getattr(pipe, name, None)).__name__]


def _of_pipeline(pipe: Any) -> Deltas:
    """What diffusers adds to each layer, by peft's own reckoning."""
    return {
        (part, path): layer.get_delta_weight("a").detach().flatten(1)
        for part, module in _parts(pipe).items()
        for path, layer in module.named_modules()
        if "a" in getattr(layer, "lora_A", {})
    }


def _ours(family: str, path: Path, wanted: Deltas) -> Deltas:
    known = layers_by_name(family, wanted)
    return {
        known[name]: _delta(layer.down, layer.up, layer.alpha)
        for name, layer in read_lora(path).items()
        if name in known
    }


def _same(wanted: Deltas, found: Deltas) -> bool:
    return wanted.keys() == found.keys() and all(torch.allclose(wanted[p], found[p], atol=1e-6) for p in wanted)


def _saved_by_diffusers(pipe: Any, folder: Path) -> Path:
    """The same adapter written by diffusers' own function."""
    from peft.utils import get_peft_model_state_dict

    encoders, drawing = _encoders(pipe), _denoiser(pipe)
    layers = {
        f"{name}_lora_layers": get_peft_model_state_dict(getattr(pipe, name), adapter_name="a")
        for name in (drawing, *encoders)
    }
    settings = {name: _plain(getattr(pipe, name).peft_config["a"].to_dict()) for name in (drawing, *encoders)}
    metadata = {f"{name}_lora_adapter_metadata": values for name, values in settings.items()}
    pipe.save_lora_weights(folder, **layers, **metadata)
    return next(folder.glob("*.safetensors"))


def _plain(value: Any) -> Any:
    """Settings without tensors, as which diffusers keeps the alphas of FLUX's files."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    return value.item() if isinstance(value, Tensor) else value


def table(found: list[Row]) -> str:
    """The rows as Markdown."""
    lines = ["| " + " | ".join(HEAD) + " |", "|" + "---|" * len(HEAD)]
    return "\n".join([*lines, *("| " + " | ".join(row.cells()) + " |" for row in found)]) + "\n"


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        text = table(rows(Path(folder)))
    before, _start, rest = DOCUMENT.read_text("utf-8").partition(START)
    DOCUMENT.write_text(before + START + text + END + rest.partition(END)[2], "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
