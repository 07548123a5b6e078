"""LoHa, LoKr, GLoRA, (IA)^3, OFT, BOFT and full differences: trained tensors beside each layer of the base."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from lora_tui.config.layers import LayerSize, layer_size
from lora_tui.config.schema import NetworkSection
from lora_tui.families.protocol import TargetModule
from lora_tui.families.quantized import full_weight
from lora_tui.keyed import keyed_seed
from lora_tui.trainer.adapters.dropout import Dropout
from lora_tui.trainer.adapters.protocol import Place
from lora_tui.trainer.memory.share import Share
from lora_tui.weights.algebra import norms, within
from lora_tui.weights.effects import Effect
from lora_tui.weights.kinds import OFT, RANKED, SCALAR, SIZES, TURNED, scale_of, scales_inputs, tensor_shapes
from lora_tui.weights.reading import OtherLayer

#: Standard deviations of a normal start, as LyCORIS draws LoHa's; all others begin as in its modules, too.
LOHA_STARTS = {"hada_w1_a": 0.1, "hada_w1_b": 1.0, "hada_w2_b": 1.0, "hada_t1": 0.1, "hada_t2": 0.1}
#: Those that begin at 0, so that nothing is added before the first update.
ZEROS = ("hada_w2_a", "lokr_w2", "lokr_w2_b", "a2.weight", "b2.weight", "weight", "oft_blocks", "diff")
#: Into which LyCORIS multiplies a scalar: a layer has one of them.
FIRST = ("hada_w1_a", "lokr_w1", "lokr_w1_a")


@dataclass
class EffectAdapter:
    """See :class:`lora_tui.trainer.adapters.protocol.Adapter`."""

    section: NetworkSection
    effects: dict[Place, Effect] = field(default_factory=dict)
    bases: dict[Place, nn.Module] = field(default_factory=dict)  # the layers that they stand beside
    alphas: dict[Place, float] = field(default_factory=dict)
    shares: dict[Place, float] = field(default_factory=dict)  # of their part's learning rate, where it is not all
    strength: float = 1.0
    dropout: Dropout = field(init=False)

    def __post_init__(self) -> None:
        section = self.section
        self.dropout = Dropout(section.dropout, section.rank_dropout, section.module_dropout)

    @property
    def layers(self) -> Mapping[Place, Effect]:
        """By place, in the family's order."""
        return self.effects

    def tensors(self) -> dict[str, Tensor]:
        return {
            f"{part}:{path}.{name}": tensor
            for (part, path), effect in self.effects.items()
            for name, tensor in effect.tensors().items()
            if tensor.is_floating_point()
        }

    def groups(self, rates: Mapping[str, float]) -> list[dict[str, Any]]:
        """One group for each rate of a part, its own rate first."""
        members: dict[tuple[str, float], list[Tensor]] = {}
        for place, effect in self.effects.items():
            members.setdefault((place[0], self.shares.get(place, 1.0)), []).extend(effect.parameters())
        ordered = sorted(members.items(), key=lambda entry: entry[0][1] != 1.0)
        return [
            {"params": tensors, "lr": rate * share, "name": part}
            for part, rate in rates.items()
            for (whose, share), tensors in ordered
            if whose == part
        ]

    def export(self) -> dict[Place, dict[str, Tensor]]:
        return {
            place: {
                **_multiplied_in(effect.tensors()),
                **({"alpha": torch.tensor(self.alphas[place])} if place in self.alphas else {}),
            }
            for place, effect in self.effects.items()
        }

    @contextlib.contextmanager
    def at_strength(self, strength: float) -> Iterator[None]:
        before, self.strength = self.strength, self.strength * strength
        try:
            yield
        finally:
            self.strength = before

    @contextlib.contextmanager
    def learning(self, seed: int, share: Share | None = None) -> Iterator[None]:
        if self.dropout.any:
            torch.manual_seed(seed)
        self.dropout.on, self.dropout.share = self.dropout.any, share
        try:
            yield
        finally:
            self.dropout.on, self.dropout.share = False, None

    @torch.no_grad()
    def start_from(self, layers: Mapping[Place, OtherLayer]) -> None:
        """Begin with what a file adds to these layers, whatever its alpha; with its sizes, where they are trained.

        Where sizes are trained and it has none, they are those that the weights have with it. Its factor, if one is
        trained, is in the matrices.

        Raises:
            ValueError: the tensors of a layer have other shapes, or it has some that are not trained here.
        """
        for place, stored in layers.items():
            effect = self.effects[place]
            own, given = effect.tensors(), start_tensors(stored, effect.scale)
            wanted = own.keys() - {SCALAR} - ({SIZES} - given.keys())
            if given.keys() != wanted or any(given[name].shape != own[name].shape for name in wanted):
                raise ValueError(f"{place[1]}: {_told(given)} for {_told({name: own[name] for name in wanted})}")
            for name, tensor in given.items():
                own[name].copy_(tensor)
            if SCALAR in own:
                own[SCALAR].fill_(1.0)
            if SIZES in own and SIZES not in given:
                own[SIZES].copy_(norms(effect.whole(self.bases[place]), columns=True))

    def settle(self) -> None:
        """Nothing: these kinds know no bound."""

    def metadata(self) -> dict[str, Any]:
        section = self.section
        arguments: dict[str, Any] = {"algo": "diag-oft" if section.type == "oft" else section.type}
        if section.convolutions:
            arguments |= {"conv_dim": section.conv_rank, "conv_alpha": f"{section.conv_alpha:g}"}
        if section.type == "lokr":
            arguments |= {"factor": section.factor, "decompose_both": section.decompose_both or None,
                          "full_matrix": section.full_matrix or None,
                          "unbalanced_factorization": section.unbalanced or None}  # fmt: skip
        if section.type in TURNED:
            arguments |= {"constraint": section.constraint or None, "rescaled": section.rescaled or None}
        if section.type in RANKED:
            arguments["rs_lora"] = section.rslora or None
        if section.form.sizes:
            arguments |= {"dora_wd": True, "wd_on_output": False}
        arguments |= {
            "preset": None if section.targets == "all" else section.targets,
            "use_scalar": section.form.scalar or None,
            "use_tucker": section.tucker or None,
            "rank_dropout": section.rank_dropout or None,
            "module_dropout": section.module_dropout or None,
        }
        if section.layers:
            arguments["layers"] = "; ".join(section.layers)
        ranked = section.type in RANKED
        return {
            "ss_network_module": "lycoris.kohya",
            "ss_network_dim": section.rank if ranked or section.type in ("oft", "boft") else None,
            "ss_network_alpha": section.stated_alpha(LayerSize(section.rank, section.alpha)) if ranked else None,
            "ss_network_dropout": section.dropout or None,
            "ss_network_args": {name: str(value) for name, value in arguments.items() if value is not None},
        }


def attach(
    section: NetworkSection,
    modules: Mapping[str, nn.Module],
    targets: tuple[TargetModule, ...],
    *,
    seed: int,
    device: torch.device,
) -> EffectAdapter:
    """See :func:`lora_tui.trainer.adapters.kinds.attach`."""
    adapter = EffectAdapter(section)
    for part, module in modules.items():
        layers = dict(module.named_modules())
        own = [target for target in targets if target.part == part]
        missing = [target.path for target in own if target.path not in layers]
        if missing:
            raise LookupError(f"{part} has no layer {missing[0]} ({len(missing)} missing)")
        for target in own:
            size, place = layer_size(section, target), (part, target.path)
            shapes = tensor_shapes(
                section.form, target.path, target.inputs, target.outputs, size.rank,
                kernel=target.kernel if target.convolution else None,
            )  # fmt: skip
            own_seed = keyed_seed(seed, section.type, part, target.path)
            tensors = _start(shapes, target.path, own_seed, device, scalar=section.form.scalar)
            if section.form.sizes:
                tensors[SIZES] = norms(full_weight(layers[target.path]).to(device), columns=True)
            ranked = section.type in RANKED
            effect = Effect(
                section.type,
                tensors,
                scale=scale_of(tensors, section.stated_alpha(size), size.rank) if ranked else 1.0,
                bound=section.constraint,
                strength=lambda: adapter.strength,
            )
            effect.attach(layers[target.path])
            if adapter.dropout.any:
                effect.changed = adapter.dropout
            adapter.effects[place], adapter.bases[place] = effect, layers[target.path]
            if ranked:
                whole = scale_of(tensors, 0.0, 1) == 1.0  # without a rank, programs read alpha as the rank
                adapter.alphas[place] = float(size.rank) if whole else section.stated_alpha(size)
            elif section.type in TURNED:
                adapter.alphas[place] = section.constraint  # where others keep the bound of what they turn by
            if size.rate != 1:
                adapter.shares[place] = size.rate
    return adapter


def start_tensors(stored: OtherLayer, scale: float) -> dict[str, Tensor]:
    """What an adapter with this ``scale`` begins with to add what ``stored`` does.

    Scales are brought to each other in the first matrix, or in both first ones of GLoRA; blocks of OFT and BOFT that a
    file bounds are brought within the bound.
    """
    found = {name: tensor for name, tensor in stored.tensors.items() if name not in ("alpha", "diff_b")}
    if OFT in found:
        bound = float(stored.tensors.get("alpha", torch.zeros(()))) * _outputs(found[OFT])
        found[OFT] = within(found[OFT].float(), bound)
    if stored.scale != scale:
        for name in (*FIRST, "a1.weight", "b1.weight"):
            if name in found:
                found[name] = found[name].float() * (stored.scale / scale)
    return found


def _outputs(blocks: Tensor) -> int:
    return blocks.shape[-3] * blocks.shape[-1]


def _told(tensors: Mapping[str, Tensor]) -> str:
    return ", ".join(f"{name} {list(tensor.shape)}" for name, tensor in tensors.items())


def _multiplied_in(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """``tensors`` as files hold them: a scalar is part of the first matrix."""
    if SCALAR not in tensors:
        return dict(tensors)
    first = next(name for name in FIRST if name in tensors)
    own = {name: tensor for name, tensor in tensors.items() if name != SCALAR}
    return own | {first: tensors[first].detach() * tensors[SCALAR].detach()}


def _start(
    shapes: Mapping[str, tuple[int, ...]], path: str, seed: int, device: torch.device, *, scalar: bool = False
) -> dict[str, Tensor]:
    """The tensors that an adapter begins with, drawn on the CPU.

    With a ``scalar`` that is 0, so that everything else is random.
    """
    generator = torch.Generator().manual_seed(seed)
    found: dict[str, Tensor] = {}
    for name, shape in shapes.items():
        if name == "on_input":
            found[name] = torch.tensor(int(scales_inputs(path)), device=device)
            continue
        start = torch.ones(shape) if name == "rescale" else torch.zeros(shape)
        if name in LOHA_STARTS:
            start.normal_(std=LOHA_STARTS[name], generator=generator)
        elif scalar and name == "hada_w2_a":
            start.normal_(std=0.1, generator=generator)
        elif name not in (*ZEROS, "rescale") or (scalar and name.startswith("lokr_")):
            nn.init.kaiming_uniform_(start, a=math.sqrt(5), generator=generator)
        found[name] = start.to(device)
    if scalar:
        found[SCALAR] = torch.zeros(1, device=device)
    return found
