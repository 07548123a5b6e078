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

from lora_tui.config.schema import NetworkSection
from lora_tui.families.protocol import TargetModule
from lora_tui.keyed import keyed_seed
from lora_tui.trainer.adapters.protocol import Place

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

    def tensors(self) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        for (part, path), layer in self.layers.items():
            found[f"{part}:{path}.lora_A"] = layer.lora_A[NAME].weight
            found[f"{part}:{path}.lora_B"] = layer.lora_B[NAME].weight
        return found

    def groups(self, rates: Mapping[str, float]) -> list[dict[str, Any]]:
        members: dict[str, list[Tensor]] = {part: [] for part in rates}
        for name, tensor in self.tensors().items():
            members[name.partition(":")[0]].append(tensor)
        return [{"params": members[part], "lr": rate, "name": part} for part, rate in rates.items() if members[part]]

    def export(self) -> dict[Place, dict[str, Tensor]]:
        return {
            place: {
                "lora_down.weight": layer.lora_A[NAME].weight,
                "lora_up.weight": layer.lora_B[NAME].weight,
                "alpha": torch.tensor(layer.lora_alpha[NAME], dtype=torch.float32),
            }
            for place, layer in self.layers.items()
        }

    @contextlib.contextmanager
    def at_strength(self, strength: float) -> Iterator[None]:
        before = {place: layer.scaling[NAME] for place, layer in self.layers.items()}
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

    def metadata(self) -> dict[str, Any]:
        section = self.section
        convolutions = {"conv_dim": str(section.conv_rank), "conv_alpha": f"{section.conv_alpha:g}"}
        return {
            "ss_network_module": "networks.lora",
            "ss_network_dim": section.rank,
            "ss_network_alpha": section.alpha,
            "ss_network_dropout": None,
            "ss_network_args": convolutions if section.convolutions else {},
        }


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
        sizes = {target.path: section.size_of(target.kernel) for target in own if target.kernel > 1}
        config = LoraConfig(
            r=section.rank,
            lora_alpha=section.alpha,  # type: ignore[arg-type]
            target_modules=_exactly(paths),
            rank_pattern={_exactly([path]): rank for path, (rank, _alpha) in sizes.items()},
            alpha_pattern={_exactly([path]): alpha for path, (_rank, alpha) in sizes.items()},
            init_lora_weights=True,
        )
        inject_adapter_in_model(config, module, adapter_name=NAME)
        layers = dict(module.named_modules())
        for path in paths:
            layer = layers[path]
            assert isinstance(layer, LoraLayer)
            _initialise(layer, keyed_seed(seed, "lora", part, path), device)
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
