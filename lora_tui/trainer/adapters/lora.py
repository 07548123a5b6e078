"""LoRA through peft: attach to the layers that the family names, hold the trained tensors, set the strength."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

from lora_tui.config.layers import layer_size
from lora_tui.config.schema import NetworkSection
from lora_tui.families.protocol import TargetModule
from lora_tui.keyed import keyed_seed
from lora_tui.trainer.adapters.at_rank import AtRank
from lora_tui.trainer.adapters.dora import Decomposed, decompose
from lora_tui.trainer.adapters.dropout import Dropout
from lora_tui.trainer.adapters.nested import Nested
from lora_tui.trainer.adapters.protocol import Place
from lora_tui.trainer.memory.share import Share
from lora_tui.weights.reading import LoraLayer as Stored

NAME = "default"


@dataclass
class LoraAdapter:
    """See :class:`lora_tui.trainer.adapters.protocol.Adapter`.

    Attributes:
        section: what was chosen; its ranks and alphas are those of the layers, whose update is scaled by alpha / rank.
        layers: by place, in the family's order; down is [rank, in(, k, k)], up [out, rank(, 1, 1)], both float32.
    """

    section: NetworkSection
    layers: dict[Place, LoraLayer] = field(default_factory=dict)
    shares: dict[Place, float] = field(default_factory=dict)  # of their part's learning rate, where it is not all
    decomposed: dict[Place, Decomposed] = field(default_factory=dict)  # the same layers, where DoRA is trained
    dropout: Dropout = field(init=False)
    nested: Nested = field(init=False)

    def __post_init__(self) -> None:
        self.dropout = Dropout(self.section.dropout, self.section.rank_dropout, self.section.module_dropout)
        self.nested = Nested(self.section.unit if self.section.type == "dylora" else 0, self.section.ranks_drawn)

    def tensors(self) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        for (part, path), layer in self.layers.items():
            found[f"{part}:{path}.lora_A"] = layer.lora_A[NAME].weight
            found[f"{part}:{path}.lora_B"] = layer.lora_B[NAME].weight
            if (part, path) in self.decomposed:
                found[f"{part}:{path}.dora_scale"] = layer.dora_scale
        return found

    def groups(self, rates: Mapping[str, float]) -> list[dict[str, Any]]:
        """One group for each rate of a part, its own rate first.

        With LoRA+ the up matrices have another one (Hayou et al. 2024, "LoRA+"), and so may single layers.
        """
        members: dict[tuple[str, float], list[Tensor]] = {}
        for name, tensor in self.tensors().items():
            part, _colon, inner = name.partition(":")
            path, _dot, kind = inner.rpartition(".")
            share = self.shares.get((part, path), 1.0) * (self.section.lora_plus if kind == "lora_B" else 1.0)
            members.setdefault((part, share), []).append(tensor)
        ordered = sorted(members.items(), key=lambda entry: entry[0][1] != 1.0)
        return [
            {"params": tensors, "lr": rate * share, "name": part}
            for part, rate in rates.items()
            for (whose, share), tensors in ordered
            if whose == part
        ]

    @contextlib.contextmanager
    def learning(self, seed: int, share: Share | None = None) -> Iterator[None]:
        if self.dropout.any:
            torch.manual_seed(seed)
        self.dropout.on, self.dropout.share = self.dropout.any, share
        if self.nested.unit:
            self.nested.draw(keyed_seed(seed, "ranks"))
        try:
            yield
        finally:
            self.dropout.on, self.dropout.share = False, None
            self.nested.rest()

    @torch.no_grad()
    def settle(self) -> None:
        """Scale both matrices of a layer down where its update's norm is above the highest, as sd-scripts does.

        The norm of up @ down times the scale is found from the two small Gram matrices, rank x rank.
        """
        if self.section.max_norm <= 0:
            return
        for layer in self.layers.values():
            down, up = layer.lora_A[NAME].weight, layer.lora_B[NAME].weight
            first, second = down.flatten(1), up.flatten(1)
            norm = ((second.T @ second) * (first @ first.T)).sum().clamp(min=0).sqrt() * layer.scaling[NAME]
            root = (self.section.max_norm / norm.clamp(min=self.section.max_norm)).sqrt()
            down.mul_(root)
            up.mul_(root)

    def start_from(self, layers: Mapping[Place, Stored]) -> None:
        """Begin with what a file adds to these layers, whatever its alpha; a DoRA with its sizes, too.

        A DoRA that begins with a LoRA takes the sizes that the weights have with it.

        Raises:
            ValueError: the matrices of a layer have another shape, or sizes that are not trained here.
        """
        for place, stored in layers.items():
            layer, dora = self.layers[place], self.decomposed.get(place)
            down, up = layer.lora_A[NAME].weight, layer.lora_B[NAME].weight
            if stored.down.numel() != down.numel() or stored.up.numel() != up.numel():
                raise ValueError(f"{place[1]}: {tuple(stored.down.shape)} for {tuple(down.shape)}")
            if stored.sizes is not None and (dora is None or stored.sizes.numel() != layer.dora_scale.numel()):
                raise ValueError(f"{place[1]}: sizes {tuple(stored.sizes.shape)}")
            with torch.no_grad():
                down.copy_(stored.down.reshape(down.shape))
                up.copy_(stored.up.reshape(up.shape).float() * (stored.scale / layer.scaling[NAME]))
                if dora is not None:
                    sizes = dora.norms() if stored.sizes is None else stored.sizes.reshape(layer.dora_scale.shape)
                    layer.dora_scale.copy_(sizes)

    def export(self) -> dict[Place, dict[str, Tensor]]:
        return {
            place: {
                "lora_down.weight": layer.lora_A[NAME].weight,
                "lora_up.weight": layer.lora_B[NAME].weight,
                "alpha": torch.tensor(self._alpha(layer), dtype=torch.float32),
                **({"dora_scale": layer.dora_scale} if place in self.decomposed else {}),
            }
            for place, layer in self.layers.items()
        }

    def _alpha(self, layer: LoraLayer) -> float:
        """What a reader must divide by the rank to have the layer's scale."""
        alpha = float(layer.lora_alpha[NAME])
        return alpha * math.sqrt(layer.r[NAME]) if self.section.rslora else alpha

    @contextlib.contextmanager
    def at_strength(self, strength: float) -> Iterator[None]:
        before = {place: layer.scaling[NAME] for place, layer in self.layers.items()}
        if self.decomposed:
            with self._decomposed_at(strength):
                yield
            return
        try:
            for place, layer in self.layers.items():
                layer.scaling[NAME] = before[place] * strength
                if strength == 0:
                    layer.enable_adapters(False)
            yield
        finally:
            for place, layer in self.layers.items():
                layer.scaling[NAME] = before[place]
                if strength == 0:
                    layer.enable_adapters(True)

    @contextlib.contextmanager
    def _decomposed_at(self, strength: float) -> Iterator[None]:
        """Between the base and the whole of it, as ComfyUI does."""
        for layer in self.decomposed.values():
            layer.strength = strength
        try:
            yield
        finally:
            for layer in self.decomposed.values():
                layer.strength = 1.0

    def metadata(self) -> dict[str, Any]:
        section = self.section
        arguments: dict[str, str] = {}
        if section.convolutions:
            arguments = {"conv_dim": str(section.conv_rank), "conv_alpha": f"{section.conv_alpha:g}"}
        given = {
            "rank_dropout": section.rank_dropout,
            "module_dropout": section.module_dropout,
            "loraplus_lr_ratio": section.lora_plus if section.lora_plus != 1 else 0,
            "rs_lora": section.rslora,
        }
        arguments |= {name: str(value) for name, value in given.items() if value}
        if section.targets != "all":
            arguments["preset"] = section.targets
        if section.layers:
            arguments["layers"] = "; ".join(section.layers)
        if section.dora:  # as LyCORIS calls it
            arguments |= {"algo": "lora", "dora_wd": "True", "wd_on_output": "False"}
        if section.type == "dylora":
            arguments |= {"algo": "dylora"} if section.dora else {}
            arguments["unit"] = str(section.unit)
        return {
            "ss_network_module": _module(section),
            "ss_network_dim": section.rank,
            "ss_network_alpha": section.alpha * math.sqrt(section.rank) if section.rslora else section.alpha,
            "ss_network_dropout": section.dropout or None,
            "ss_network_args": arguments,
            "ss_scale_weight_norms": section.max_norm or None,
        }


def _module(section: NetworkSection) -> str:
    """What sd-scripts calls the program that trains it."""
    if section.type == "dylora":
        return "networks.dylora"
    return "lycoris.kohya" if section.dora else "networks.lora"


def attach(
    section: NetworkSection,
    modules: Mapping[str, nn.Module],
    targets: tuple[TargetModule, ...],
    *,
    seed: int,
    device: torch.device,
) -> LoraAdapter:
    """See :func:`lora_tui.trainer.adapters.attach`.

    The down matrices are drawn as kaiming-uniform (a = sqrt 5, as in the LoRA paper's code and in kohya's), the up
    matrices are zero.
    """
    adapter = LoraAdapter(section)
    for part, module in modules.items():
        own = [target for target in targets if target.part == part]
        paths = [target.path for target in own]
        known = {name for name, _ in module.named_modules()}
        missing = [path for path in paths if path not in known]
        if missing:
            raise LookupError(f"{part} has no layer {missing[0]} ({len(missing)} missing)")
        sizes = {target.path: layer_size(section, target) for target in own}
        others = {path: size for path, size in sizes.items() if (size.rank, size.alpha) != section.size_of(1)}
        adapter.shares |= {(part, path): size.rate for path, size in sizes.items() if size.rate != 1}
        config = LoraConfig(
            r=section.rank,
            lora_alpha=section.alpha,  # type: ignore[arg-type]
            target_modules=_exactly(paths),
            rank_pattern={_exactly([path]): size.rank for path, size in others.items()},
            alpha_pattern={_exactly([path]): size.alpha for path, size in others.items()},
            init_lora_weights=True,
            use_rslora=section.rslora,
        )
        inject_adapter_in_model(config, module, adapter_name=NAME)
        layers = dict(module.named_modules())
        for path in paths:
            layer = layers[path]
            assert isinstance(layer, LoraLayer)
            _initialise(layer, keyed_seed(seed, "lora", part, path), device)
            if adapter.dropout.any:
                layer.lora_A[NAME].register_forward_hook(adapter.dropout)
            if adapter.nested.unit:
                layer.lora_A[NAME].register_forward_hook(adapter.nested)
            layer.forward = AtRank(layer, NAME).__call__  # a method: to a compiler the same in all layers
            if section.dora:
                adapter.decomposed[part, path] = decompose(layer, NAME, path, adapter.nested.ranks)
            adapter.layers[part, path] = layer
    return adapter


def _exactly(names: list[str]) -> str:
    """A pattern that peft matches against whole names; a list would also match by ending."""
    return "(" + "|".join(name.replace(".", r"\.") for name in names) + ")"


def _initialise(layer: LoraLayer, seed: int, device: torch.device) -> None:
    generator = torch.Generator().manual_seed(seed)
    down, up = layer.lora_A[NAME], layer.lora_B[NAME]
    start = torch.empty(down.weight.shape, dtype=torch.float32)
    nn.init.kaiming_uniform_(start, a=math.sqrt(5), generator=generator)
    down.weight = nn.Parameter(start.to(device))
    up.weight = nn.Parameter(torch.zeros(up.weight.shape, dtype=torch.float32, device=device))
