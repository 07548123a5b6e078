"""What becomes of a LoRA in its file, family by family: trained, saved, read back by diffusers and by our own reader.

``python tests/trainer/interop_table.py`` writes the table into docs/lora-files.md.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from lora_tui.bench.chroma_model import write_chroma_model
from lora_tui.bench.flux2_model import write_flux2_model
from lora_tui.bench.flux_model import write_flux_model
from lora_tui.bench.model import write_model
from lora_tui.bench.qwen_model import write_qwen_model
from lora_tui.bench.sd3_model import write_sd3_model
from lora_tui.bench.zimage_model import write_zimage_model
from lora_tui.config.schema import CaptionSection, ModelSection, NetworkSection, SamplePrompt
from lora_tui.families import open_model
from lora_tui.families.chroma.shape import Shape as ChromaShape
from lora_tui.families.chroma.targets import transformer_targets as chroma_targets
from lora_tui.families.flux.shape import Shape
from lora_tui.families.flux.targets import transformer_targets
from lora_tui.families.protocol import Framing, TargetModule, latent_shape
from lora_tui.sampling.lora import apply_lora
from lora_tui.sampling.renderer import Renderer, RenderRequest
from lora_tui.trainer.adapters.kinds import attach
from lora_tui.weights.lora_file import file_tensors, write_lora
from lora_tui.weights.names import Layout, fuses
from lora_tui.weights.reading import layers_by_name, read_lora

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "lora-files.md"
START, END = "<!-- table -->\n", "<!-- end of table -->\n"
#: The kinds of adapters, as settings of the network.
KINDS: dict[str, dict[str, Any]] = {
    "lora": {},
    "locon": {"type": "locon", "conv_rank": 2, "conv_alpha": 0.5},
    "rslora": {"rslora": True},
    "dora": {"dora": True},
}
FUSED = ("sd3", "flux", "flux2", "chroma")
"""Families whose makers keep several layers in one."""
#: What ``saving.layout`` may be -> what the table calls it.
LAYOUTS: dict[str, dict[Layout, str]] = {
    **{family: {"auto": "kohya", "diffusers": "diffusers"} for family in ("sd15", "sd2", "sdxl")},
    **{family: {"auto": "dotted", "kohya": "kohya, fused"} for family in FUSED},
    "zimage": {"auto": "dotted", "kohya": "kohya, fused", "diffusers": "diffusers"},
    "qwen": {"auto": "dotted", "kohya": "kohya", "diffusers": "diffusers"},
}
OWN = "written by diffusers"
DROPPED, AT_WIDTH, NO_READER = "drops the sizes", "yes, 3072 wide", "has no reader"
HEAD = ("family", "adapter", "layout", "layers", "trained", "diffusers reads it", "we read it", "same image")
CPU = torch.device("cpu")
Deltas = dict[tuple[str, str], Tensor]


@dataclass(frozen=True)
class Row:
    """One line of the table.

    The last four: whether all layers learned, were the same to the bit or within rounding for both readers, and whether
    the image drawn with the file is the one that was drawn with the adapter as it was trained, within 1e-5.
    """

    family: str
    adapter: str
    layout: str
    layers: int
    trained: bool
    by_diffusers: bool | str
    by_us: bool
    same_image: bool

    def cells(self) -> Iterator[str]:
        for value in vars(self).values():
            yield {True: "yes", False: "**no**"}.get(value, str(value)) if isinstance(value, bool) else str(value)


#: Some of each kind of model and of adapter, and every layout: a quarter of the time.
SOME = {"sd15": ("lora", "dora"), "sdxl": ("locon",), "sd3": ("lora",), "flux": ("lora", "dora"), "zimage": ("lora",)}


def rows(families: Mapping[str, Family], chosen: Mapping[str, Collection[str]] | None = None) -> list[Row]:
    """Every family with every adapter (or those in ``chosen``) in every layout; alpha is never the rank."""
    wanted = dict.fromkeys(LAYOUTS, tuple(KINDS)) if chosen is None else chosen
    return [row for family, kinds in wanted.items() for row in families[family].rows(kinds)]


class Family:
    """One family's micro model: in diffusers' pipeline, and by itself, to draw with files.

    It works in float64, so that an image tells what a file makes of a layer, and not in which order sums were rounded.
    """

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.folder = name, folder
        self.base = _base(name, folder / name)
        self.pipe = _pipeline(name, self.base)
        self.plain = self.opened()
        self.image = drawn(self.plain)  # by the base model alone

    def opened(self) -> Any:
        section = ModelSection(base=str(self.base), family=self.name)  # type: ignore[arg-type]
        return open_model(section, CaptionSection(t5_tokens=128), device=CPU, dtype=torch.float64)

    def rows(self, kinds: Collection[str]) -> Iterator[Row]:
        for kind in kinds:
            if kind != "locon" or self.plain.facts.denoiser == "unet":  # transformers have no convolutions
                yield from self.of_adapter(kind, KINDS[kind])

    def of_adapter(self, kind: str, settings: dict[str, Any]) -> Iterator[Row]:
        model = self.opened()
        network = NetworkSection(**{"rank": 4, "alpha": 1.5, **settings})
        modules = model.adapted_modules(text_encoder=True)
        targets = model.targets(text_encoder=True, convolutions=network.convolutions)
        adapter: Any = attach(network, modules, targets, seed=1, device=CPU)
        exported = _something_to_say(adapter)
        wanted = {p: _delta(t["lora_down.weight"], t["lora_up.weight"], t["alpha"]) for p, t in exported.items()}
        trained, image = _all_learn(model, exported), drawn(model)
        for layout, called in LAYOUTS[self.name].items():
            if fuses(self.name, layout) and kind == "dora":
                continue  # refused
            path = self.folder / f"{self.name}-{kind}-{layout}.safetensors"
            write_lora(path, file_tensors(self.name, exported, dtype=torch.float32, layout=layout), {})
            reads = FUSED_READERS.get(self.name) if fuses(self.name, layout) else None
            by_diffusers = self.by_diffusers(path, wanted, kind) if reads is None else reads()
            by_us = _same(wanted, _ours(self.name, path, wanted))
            yield Row(
                self.name, kind, called, len(wanted), trained, by_diffusers, by_us, self.draws_the_same(path, image)
            )
        if kind == "lora":
            self.pipe.load_lora_weights(
                load_file(self.folder / f"{self.name}-{kind}-auto.safetensors"), adapter_name="a"
            )
            theirs = _saved_by_diffusers(self.pipe, self.folder / f"{self.name}-{kind}")
            self.pipe.unload_lora_weights()
            by_us = _same(wanted, _ours(self.name, theirs, wanted))
            by_diffusers = self.by_diffusers(theirs, wanted, kind)
            same = self.draws_the_same(theirs, image)
            yield Row(self.name, kind, OWN, len(wanted), trained, by_diffusers, by_us, same)

    def by_diffusers(self, path: Path, wanted: Deltas, kind: str) -> bool | str:
        """Whether the pipeline adds the same to every layer; a DoRA's sizes it leaves out, with a warning."""
        self.pipe.load_lora_weights(str(path.parent), weight_name=path.name, adapter_name="a")
        same = _same(wanted, _of_pipeline(self.pipe))
        self.pipe.unload_lora_weights()
        return DROPPED if kind == "dora" and same else same

    def draws_the_same(self, path: Path, image: Tensor) -> bool:
        applied = apply_lora(self.plain, path)
        found = drawn(self.plain)
        applied.remove()
        return torch.allclose(found, image, atol=1e-5) and not torch.allclose(self.image, image, atol=1e-3)

    def plain_places(self) -> set[tuple[str, str]]:
        """The linear layers and convolutions of all parts that are adapted."""
        parts, kinds = self.plain.adapted_modules(text_encoder=True), (nn.Linear, nn.Conv2d)
        return {
            (part, path) for part, root in parts.items() for path, one in root.named_modules() if isinstance(one, kinds)
        }

    def layers_of_pipeline(self) -> int:
        """To how many layers the pipeline adds something now."""
        return len(_of_pipeline(self.pipe))


def _something_to_say(adapter: Any) -> dict[tuple[str, str], dict[str, Tensor]]:
    """A fresh LoRA is nothing: its layers get random second matrices, and a DoRA other sizes."""
    generator = torch.Generator().manual_seed(2)
    exported: dict[tuple[str, str], dict[str, Tensor]] = adapter.export()
    for tensors in exported.values():
        up = tensors["lora_up.weight"]
        up.data.copy_(torch.randn(up.shape, generator=generator) * 0.02)
        if "dora_scale" in tensors:
            tensors["dora_scale"].data.mul_(1 + 0.2 * torch.rand(tensors["dora_scale"].shape, generator=generator))
    return exported


@torch.no_grad()
def drawn(model: Any) -> Tensor:
    """An image of 64 px in two steps: [1, 3, 64, 64] in 0..1.

    Roundings are magnified the least by steps of Euler where noise is predicted, and of DDIM where velocity is. Without
    guidance, which would predict everything twice.
    """
    sampler = "ddim" if model.prediction == "v_prediction" else "euler"
    length = model.text_length(["a red disc", ""])
    positive, negative = (model.encode_text(model.tokenize([text], length)) for text in ("a red disc", ""))
    prompt = SamplePrompt(prompt="a red disc", width=64, height=64, steps=2, seed=5, sampler=sampler, guidance=1.0)
    latents = Renderer(model).latents(RenderRequest(prompt, positive, negative), lambda _done, _total: None)
    pixels: Tensor = model.decode_latents(latents)
    return pixels


def _fused_by_diffusers(family: str, targets: Iterable[TargetModule]) -> bool | str:
    """Its converter knows the published width alone: one block of each kind."""
    from diffusers.loaders.lora_conversion_utils import _convert_kohya_flux_lora_to_diffusers

    generator = torch.Generator().manual_seed(4)
    layers = {
        (target.part, target.path): {
            "lora_down.weight": torch.randn(2, target.inputs, generator=generator),
            "lora_up.weight": torch.randn(target.outputs, 2, generator=generator),
            "alpha": torch.tensor(0.5),
        }
        for target in targets
    }
    theirs = _convert_kohya_flux_lora_to_diffusers(file_tensors(family, layers, dtype=torch.float32, layout="kohya"))
    for (_part, path), own in layers.items():
        down, up = theirs[f"transformer.{path}.lora_A.weight"][:, :64], theirs[f"transformer.{path}.lora_B.weight"]
        wanted = own["lora_up.weight"] @ own["lora_down.weight"][:, :64] * 0.25
        if not torch.allclose(up @ down, wanted, atol=1e-5):
            return False
    return AT_WIDTH if len(theirs) == 2 * len(layers) else False


#: Whether diffusers reads a maker's layers with several of its own in one, where its pipeline cannot be asked: it reads
#: published widths alone; of SD3 it takes none, and says nothing.
FUSED_READERS: dict[str, Callable[[], bool | str]] = {
    "flux": lambda: _fused_by_diffusers("flux", transformer_targets(Shape(double=1, single=1))),
    "chroma": lambda: _fused_by_diffusers("chroma", chroma_targets(ChromaShape(double=1, single=1))),
    "sd3": lambda: NO_READER,
}


def _base(family: str, folder: Path) -> Path:
    writers = {
        "flux": write_flux_model,
        "flux2": write_flux2_model,
        "sd3": write_sd3_model,
        "chroma": write_chroma_model,
        "zimage": write_zimage_model,
        "qwen": write_qwen_model,
    }
    if family in writers:
        return writers[family](folder, seed=7)
    schedule = {"prediction_type": "v_prediction"} if family == "sd2" else None
    return write_model(folder, seed=7, family=family, schedule=schedule)


def _all_learn(model: Any, exported: dict[tuple[str, str], dict[str, Tensor]]) -> bool:
    """Whether every layer gets a gradient, but those of a text encoder that are behind the layer that is read."""
    told = model.encode_text(model.tokenize(["a red disc"], model.text_length(["a red disc"])))
    told |= model.picture_conditioning([Framing((128, 128), (0, 0), (128, 128))])
    noisy = torch.randn(1, *latent_shape(model.facts, 128, 128), generator=torch.Generator().manual_seed(3))
    model.predict(noisy.to(model.dtype), torch.tensor([500]), told).square().mean().backward()
    silent = [
        place for place, t in exported.items() if t["lora_up.weight"].grad is None or not t["lora_up.weight"].grad.any()
    ]
    return all(part.startswith("text_encoder") and ".layers.1." in path for part, path in silent)


def _delta(down: Tensor, up: Tensor, alpha: Any) -> Tensor:
    """What is added to a layer's weight: up @ down * alpha / rank, [outputs, inputs, ...]."""
    return (up.detach().flatten(1) @ down.detach().flatten(1)) * (float(alpha) / down.shape[0])


def _pipeline(family: str, base: Path) -> Any:
    import diffusers
    from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline

    kinds = {
        "sdxl": StableDiffusionXLPipeline,
        "flux": diffusers.FluxPipeline,
        "flux2": diffusers.Flux2KleinPipeline,
        "sd3": diffusers.StableDiffusion3Pipeline,
        "chroma": diffusers.ChromaPipeline,
        "zimage": diffusers.ZImagePipeline,
        "qwen": diffusers.QwenImagePipeline,
    }
    kind = kinds.get(family, StableDiffusionPipeline)
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
        for name, layer in read_lora(path).layers.items()
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
    import interop_lycoris

    with tempfile.TemporaryDirectory() as folder:
        families = {name: Family(name, Path(folder)) for name in LAYOUTS}
        tables = (table(rows(families)), interop_lycoris.table(interop_lycoris.rows(families)))
    text = DOCUMENT.read_text("utf-8")
    for number, written in enumerate(tables):
        before, _start, rest = text.rpartition(START) if number else text.partition(START)
        text = before + START + written + END + rest.partition(END)[2]
    DOCUMENT.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    from interop_table import main as run  # one module, not this one and another that LyCORIS' table imports

    sys.exit(run())
