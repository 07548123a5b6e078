"""The kinds of adapters, and the one way to attach one."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from lora_tui.choices import chosen
from lora_tui.config.schema import NetworkSection
from lora_tui.families.protocol import TargetModule
from lora_tui.trainer.adapters.protocol import Adapter
from lora_tui.weights.kinds import LYCORIS

#: ``network.type`` -> a function like :func:`attach` without the choice
ADAPTERS = {
    "lora": "lora_tui.trainer.adapters.lora:attach",
    "locon": "lora_tui.trainer.adapters.lora:attach",  # the same on more layers
    "dylora": "lora_tui.trainer.adapters.lora:attach",  # the same with some of its ranks at a time
    **dict.fromkeys(LYCORIS, "lora_tui.trainer.adapters.beside:attach"),
}


def attach(
    section: NetworkSection,
    modules: Mapping[str, nn.Module],
    targets: tuple[TargetModule, ...],
    *,
    seed: int,
    device: torch.device,
) -> Adapter:
    """Attach the adapter that ``section`` chooses to every target in ``modules`` (by part); the base stays frozen.

    Its start is keyed by ``seed`` and the layers' names, so it does not depend on the order.

    Raises:
        LookupError: a target is not in its module.
        UserError: the adapter's library is not installed.
    """
    found: Adapter = chosen(ADAPTERS, section.type)(section, modules, targets, seed=seed, device=device)
    return found
