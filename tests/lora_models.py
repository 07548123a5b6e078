"""Small random models of every family, LoRA files for them, and what a model predicts with them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from lora_tui.bench.chroma_model import write_chroma_model
from lora_tui.bench.flux2_model import write_flux2_model
from lora_tui.bench.flux_model import write_flux_model
from lora_tui.bench.model import write_model
from lora_tui.bench.qwen_model import write_qwen_model
from lora_tui.bench.sd3_model import write_sd3_model
from lora_tui.bench.zimage_model import write_zimage_model
from lora_tui.config.schema import CaptionSection, ModelSection
from lora_tui.errors import UserError
from lora_tui.families import facts_for, open_model
from lora_tui.families.protocol import Framing
from lora_tui.weights.lora_file import file_tensors, write_lora
from lora_tui.weights.names import Layout
from lora_tui.weights.names.chroma_original import APPROXIMATOR
from lora_tui.weights.names.originals import ORIGINALS
from lora_tui.weights.names.zimage_original import OUTER, TOKENS

UNETS = ("sd15", "sd2", "sdxl")
WRITERS: Mapping[str, Any] = {
    "flux": write_flux_model, "flux2": write_flux2_model, "chroma": write_chroma_model, "sd3": write_sd3_model,
    "zimage": write_zimage_model, "qwen": write_qwen_model,
}  # fmt: skip
FAMILIES = (*UNETS, *WRITERS)
LIGHT = ("sd15", "flux")
"""Those whose tests are part of every run of the suite; the others are tested with the slow ones."""


class Listener:
    """A report that remembers what it was warned of."""

    def __init__(self) -> None:
        self.warned: list[UserError] = []
        self.phases: list[str] = []
        self.stop_at = ""

    def progress(self, phase: str, done: int, total: int, detail: str = "") -> None:
        self.phases.append(phase)

    def warn(self, error: UserError) -> None:
        self.warned.append(error)

    def should_stop(self) -> bool:
        return bool(self.stop_at) and self.stop_at in self.phases


def written(family: str, folder: Path) -> Path:
    """A small random model as a folder in diffusers' layout."""
    found: Path = (
        write_model(folder, seed=6, family=family) if family in UNETS else WRITERS[family](folder, seed=6)
    )  # fmt: skip
    return found


def opened(base: Path, family: str, **named: Any) -> Any:
    section = ModelSection(base=str(base), family=family, **{name: str(value) for name, value in named.items()})  # type: ignore[arg-type]
    return open_model(section, CaptionSection(t5_tokens=128), device=torch.device("cpu"), dtype=torch.float32)


@torch.no_grad()
def predicted(model: Any) -> Tensor:
    """What it sees in a noisy picture, told of it by its own text encoders."""
    told = model.encode_text(model.tokenize(["a disc"], model.text_length(["a disc"])))
    told |= model.picture_conditioning([Framing((64, 64), (0, 0), (64, 64))])
    noisy = torch.randn(1, model.facts.latent_channels, 8, 8, generator=torch.Generator().manual_seed(2))
    found: Tensor = model.predict(noisy, torch.tensor([400]), told)
    return found


def lora(
    path: Path, family: str, base: Path, *, seed: int = 0, rank: int = 2, alpha: float = 3.0, layout: Layout = "auto",
    convolutions: bool = False, text: bool = True, also: Mapping[tuple[str, str], tuple[int, int]] | None = None,
) -> Path:  # fmt: skip
    """A LoRA file of random numbers for every layer of ``base``, and ``also`` for others (outputs, inputs)."""
    generator = torch.Generator().manual_seed(seed)
    targets = facts_for(family).targets(base, convolutions=convolutions, text_encoder=text)
    layers = {}
    for target in targets:
        kernel = (target.kernel, target.kernel) if target.convolution else ()
        ones = (1, 1) if target.convolution else ()
        layers[target.part, target.path] = {
            "lora_down.weight": torch.randn(rank, target.inputs, *kernel, generator=generator) * 0.1,
            "lora_up.weight": torch.randn(target.outputs, rank, *ones, generator=generator) * 0.1,
            "alpha": torch.tensor(alpha),
        }
    for place, (outputs, inputs) in (also or {}).items():
        layers[place] = {
            "lora_down.weight": torch.randn(rank, inputs, generator=generator) * 0.1,
            "lora_up.weight": torch.randn(outputs, rank, generator=generator) * 0.1,
            "alpha": torch.tensor(alpha),
        }
    told = {"ss_base_model_version": facts_for(family).versions("")[0]}
    write_lora(path, file_tensors(family, layers, dtype=torch.float32, layout=layout), told)
    return path


def makers_file(family: str, folder: Path, path: Path) -> Path:
    """The transformer of a small model of ``family`` in one file with its makers' names."""
    (own,) = (folder / "transformer").glob("*.safetensors")
    save_file(makers_tensors(family, load_file(own)), path)
    return path


def makers_tensors(family: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A transformer's tensors put together from the rows of those of diffusers.

    The last modulation of FLUX.1, FLUX.2 and SD3, and that of the text in SD3's last block, have their halves turned.
    """
    if family == "qwen":
        return dict(tensors)
    original, found = ORIGINALS[family], {}
    counts = {
        kind: 1 + max(int(name.split(".")[1]) for name in tensors if name.startswith(f"{block}."))
        for kind, (block, _layers) in original.blocks.items()
    }
    last = f"joint_blocks.{counts.get('joint_blocks', 0) - 1}.context_block.adaLN_modulation.1"
    for makers in original.paths(counts):
        for kind in ("weight", "bias"):
            pieces = [f"{piece.path}.{kind}" for piece in original.layer_of(makers)]
            if not all(piece in tensors for piece in pieces):
                continue
            whole = torch.cat([tensors[piece] for piece in pieces])
            if makers in ("final_layer.adaLN_modulation.1", last) and family in ("flux", "flux2", "sd3"):
                whole = torch.cat(whole.chunk(2)[::-1])
            ending = "scale" if makers.endswith("_norm") and family in ("flux", "chroma", "flux2") else kind
            found[f"{makers}.{ending}"] = whole.contiguous()
    if family == "zimage":
        for makers, path in OUTER.items():
            found |= {f"{makers}.{k}": tensors[f"{path}.{k}"] for k in ("weight", "bias") if f"{path}.{k}" in tensors}
        found |= {name: tensors[name] for name in TOKENS}
    if family == "sd3":
        found["pos_embed"] = tensors["pos_embed.pos_embed"]
    if family == "chroma":
        found |= _approximator(tensors)
    return found


def _approximator(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Chroma's network that gives the modulations, in its makers' names."""
    found = {}
    for name, tensor in tensors.items():
        if name.startswith(f"{APPROXIMATOR}."):
            own = name.replace(".linear_1.", ".in_layer.").replace(".linear_2.", ".out_layer.")
            found[own.replace(".weight", ".scale") if ".norms." in own else own] = tensor
    return found
