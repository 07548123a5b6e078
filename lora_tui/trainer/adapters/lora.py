"""LoRA through peft: attach to the layers that the family names, hold the trained tensors, set the strength."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

from lora_tui.families.protocol import TargetModule
from lora_tui.keyed import keyed_seed

NAME = "default"


@dataclass
class Adapter:
    """The trained layers of a run.

    Attributes:
        layers: (part, dotted path of the base layer) -> peft layer, in the family's order.
        rank, alpha: of every layer; the update is scaled by alpha / rank.
    """

    rank: int
    alpha: float
    layers: dict[tuple[str, str], LoraLayer] = field(default_factory=dict)

    def tensors(self) -> dict[str, nn.Parameter]:
        """``part:path.lora_A|lora_B`` -> parameter (float32), in a fixed order."""
        found: dict[str, nn.Parameter] = {}
        for (part, path), layer in self.layers.items():
            found[f"{part}:{path}.lora_A"] = layer.lora_A[NAME].weight
            found[f"{part}:{path}.lora_B"] = layer.lora_B[NAME].weight
        return found

    def groups(self, rates: Mapping[str, float]) -> list[dict[str, object]]:
        """Parameter groups for an optimizer, one for each part with its own learning rate."""
        groups: list[dict[str, object]] = []
        for part, rate in rates.items():
            members = [p for name, p in self.tensors().items() if name.startswith(f"{part}:")]
            if members:
                groups.append({"params": members, "lr": rate, "name": part})
        return groups

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Put saved ``tensors`` back, by the names of :meth:`tensors`; they must fit."""
        with torch.no_grad():
            for name, parameter in self.tensors().items():
                parameter.copy_(tensors[name])

    def fits(self, tensors: Mapping[str, Tensor]) -> bool:
        """Whether ``tensors`` are those of an adapter like this one: the same names and shapes."""
        own = self.tensors()
        return own.keys() == tensors.keys() and all(own[name].shape == tensors[name].shape for name in own)

    def matrices(self) -> dict[tuple[str, str], tuple[Tensor, Tensor]]:
        """(part, path) -> (down [rank, in(, 1, 1)], up [out, rank(, 1, 1)])."""
        return {key: (layer.lora_A[NAME].weight, layer.lora_B[NAME].weight) for key, layer in self.layers.items()}

    @contextlib.contextmanager
    def at_strength(self, strength: float) -> Iterator[None]:
        """Draw with the adapter at ``strength``; 0 leaves it out altogether."""
        before = {key: layer.scaling[NAME] for key, layer in self.layers.items()}
        try:
            for key, layer in self.layers.items():
                layer.scaling[NAME] = before[key] * strength
                if strength == 0:
                    layer.enable_adapters(False)
            yield
        finally:
            for key, layer in self.layers.items():
                layer.scaling[NAME] = before[key]
                if strength == 0:
                    layer.enable_adapters(True)


def attach_lora(
    parts: Mapping[str, nn.Module],
    targets: tuple[TargetModule, ...],
    *,
    rank: int,
    alpha: float,
    seed: int,
    device: torch.device,
) -> Adapter:
    """Attach a LoRA to every target in ``parts``; the base stays frozen.

    The down matrices are drawn as kaiming-uniform (a = sqrt 5, as in the LoRA paper's code and in kohya's) from a
    generator keyed by the layer's name, the up matrices are zero, so the result does not depend on the order.

    Raises:
        LookupError: a target is not in its module.
    """
    adapter = Adapter(rank=rank, alpha=alpha)
    for part, module in parts.items():
        wanted = [target for target in targets if target.part == part]
        prefix = "text_model." if any(n.startswith("text_model.") for n, _ in module.named_modules()) else ""
        names = [prefix + target.path for target in wanted]
        known = {name for name, _ in module.named_modules()}
        missing = [name for name in names if name not in known]
        if missing:
            raise LookupError(f"{part} has no layer {missing[0]} ({len(missing)} missing)")
        config = LoraConfig(r=rank, lora_alpha=alpha, target_modules=_exactly(names), init_lora_weights=True)  # type: ignore[arg-type]
        inject_adapter_in_model(config, module, adapter_name=NAME)
        layers = dict(module.named_modules())
        for target, name in zip(wanted, names, strict=True):
            layer = layers[name]
            assert isinstance(layer, LoraLayer)
            _initialise(layer, keyed_seed(seed, "lora", part, target.path), device)
            adapter.layers[part, target.path] = layer
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
