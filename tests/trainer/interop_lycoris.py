"""What becomes of LyCORIS' types in their files: read by LyCORIS' own loader, by diffusers and by our own reader.

``python tests/trainer/interop_table.py`` writes the table into docs/lora-files.md.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from interop_table import CPU, LAYOUTS, Family, drawn
from lycoris.wrapper import create_lycoris_from_weights
from safetensors.torch import load_file
from torch import Tensor

from lora_tui.config.layers import trained
from lora_tui.config.schema import NetworkSection
from lora_tui.sampling.lora import apply_lora
from lora_tui.trainer.adapters.kinds import attach
from lora_tui.weights.lora_file import file_tensors, write_lora
from lora_tui.weights.names import names_for

#: The types, as settings of the network.
KINDS: dict[str, dict[str, Any]] = {
    "loha": {"all_convolutions": True, "tucker": True, "conv_rank": 2},
    "loha, DoRA": {"type": "loha", "dora": True},
    "lokr": {"factor": 4, "decompose_both": True, "scalar": True},
    "lokr, whole": {"type": "lokr", "full_matrix": True},
    "glora": {},
    "ia3": {},
    "oft": {"rank": 8},
    "boft": {"rank": 8},
    "full": {},
}
HEAD = ("family", "adapter", "layers", "LyCORIS reads it", "diffusers reads it", "we read it", "same image")
NEAR = 1e-4  # LyCORIS turns by matrices of float32, inverted there
NOTHING, REFUSES = "adds nothing", "refuses it"
#: Some of each kind of model: a fraction of the time.
SOME = {"sd15": ("lokr",), "flux": ("loha",)}


@dataclass(frozen=True)
class Row:
    """One line of the table: whether each of them finds every layer and draws what was drawn as it was trained."""

    family: str
    adapter: str
    layers: int
    by_lycoris: bool | str
    by_diffusers: bool | str
    by_us: bool
    same_image: bool

    def cells(self) -> Iterator[str]:
        for value in vars(self).values():
            yield {True: "yes", False: "**no**"}.get(value, str(value)) if isinstance(value, bool) else str(value)


def rows(families: Mapping[str, Family], chosen: Mapping[str, Collection[str]] | None = None) -> list[Row]:
    """Every family with every type (or those in ``chosen``) in its own names; alpha is never the rank."""
    wanted = dict.fromkeys(LAYOUTS, tuple(KINDS)) if chosen is None else chosen
    return [of_adapter(families[name], kind, KINDS[kind]) for name, kinds in wanted.items() for kind in kinds]


def of_adapter(family: Family, kind: str, settings: dict[str, Any]) -> Row:
    model = family.opened()
    network = NetworkSection(**{"type": kind, "rank": 4, "alpha": 1.5, "conv_alpha": 0.5, **settings})
    targets = trained(network, model.targets(text_encoder=True, convolutions=network.convolutions))
    adapter: Any = attach(network, model.adapted_modules(text_encoder=True), targets, seed=1, device=CPU)
    _something_to_say(adapter)
    image = drawn(model)
    path = family.folder / f"{family.name}-{kind.replace(', ', '-')}.safetensors"
    write_lora(path, file_tensors(family.name, adapter.export(), dtype=torch.float32), {})
    applied = apply_lora(family.plain, path)
    same = _close(drawn(family.plain), image) and not _close(family.image, image)
    applied.remove()
    return Row(
        family.name, kind, len(targets), _by_lycoris(family, path, list(adapter.effects), image),
        _by_diffusers(family, path), applied.layers == len(targets), same,
    )  # fmt: skip


def _close(one: Tensor, other: Tensor) -> bool:
    return torch.allclose(one, other, atol=1e-5)


def _something_to_say(adapter: Any) -> None:
    """A fresh adapter is nothing: all its numbers move a little."""
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for tensor in adapter.tensors().values():
            tensor.add_(torch.randn(tensor.shape, generator=generator) * 0.05)


def _by_lycoris(family: Family, path: Path, places: list[tuple[str, str]], image: Tensor) -> bool | str:
    """See :func:`by_lycoris`; for a file in the family's own names."""
    names = names_for(family.name)
    stems = {place: names.tensor_name(*place, "alpha").removesuffix(".alpha") for place in places}
    return by_lycoris(family, path, stems, image)


def by_lycoris(family: Family, path: Path, names: Mapping[tuple[str, str], str], image: Tensor) -> bool | str:
    """Whether LyCORIS' loader finds each layer under the name of its module, and draws the same beside the model.

    Args:
        names: place -> what the file calls the layer.
    """
    tensors = load_file(path)
    model = family.opened()
    networks = []
    logging.getLogger("LyCORIS").setLevel(logging.ERROR)
    for part, module in model.adapted_modules(text_encoder=True).items():
        stems = {name: f"lycoris_{inner.replace('.', '_')}" for (whose, inner), name in names.items() if whose == part}
        own = {}
        for name, tensor in tensors.items():
            stem = next((stem for stem in stems if name.startswith(f"{stem}.")), None)
            if stem:
                own[stems[stem] + name.removeprefix(stem)] = tensor
        try:
            network, _tensors = create_lycoris_from_weights(1.0, "", module, weights_sd=own)
        except (RuntimeError, TypeError):  # 4.1.3 cannot make (IA)^3 of a file, nor sizes of columns
            return REFUSES
        for lora in network.loras:
            (lora if hasattr(lora, "oft_blocks") else lora.double()).eval().apply_to()
        networks.append(network)
    if sum(len(network.loras) for network in networks) != len(names):
        return False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.allclose(drawn(model), image, atol=NEAR)


def _by_diffusers(family: Family, path: Path) -> bool | str:
    try:
        family.pipe.load_lora_weights(str(path.parent), weight_name=path.name, adapter_name="a")
    except (ValueError, KeyError, RuntimeError, IndexError, AttributeError):
        return REFUSES
    found = family.layers_of_pipeline()
    family.pipe.unload_lora_weights()
    return NOTHING if not found else False


def table(found: list[Row]) -> str:
    """The rows as Markdown."""
    lines = ["| " + " | ".join(HEAD) + " |", "|" + "---|" * len(HEAD)]
    return "\n".join([*lines, *("| " + " | ".join(row.cells()) + " |" for row in found)]) + "\n"
