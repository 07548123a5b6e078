"""What playing the steps as CUDA graphs asks for."""

from __future__ import annotations

from collections.abc import Iterator

from lora_tui.config.estimate import storage_of
from lora_tui.config.findings import Finding, warning
from lora_tui.config.rules.compiling import changes_each_step
from lora_tui.config.schema import Config
from lora_tui.text import _


def ungraphed(config: Config) -> str:
    """Why steps will not be played as CUDA graphs with these settings; empty where they will be."""
    memory = config.memory
    if memory.device == "cpu":
        return _("the processor has no CUDA graphs.")
    if memory.gradient_checkpointing and memory.when_room != "adapt":
        return _("what is computed again in the way back cannot be recorded.")
    if storage_of(memory).streamed:
        return _("blocks that visit the GPU in turn cannot be recorded.")
    changing = changes_each_step(config.network)
    if changing:
        return changing
    network = config.network
    if network.dropout > 0 or network.rank_dropout > 0:
        return _("network.dropout and network.rank_dropout draw other numbers in each step.")
    return ""


def graphs(config: Config) -> Iterator[Finding]:
    """Where nothing of it would be had."""
    if not config.memory.cuda_graphs:
        return
    reason = ungraphed(config)
    if reason:
        yield warning(
            "memory.cuda_graphs",
            _("Steps will not be played as CUDA graphs: {reason}").format(reason=reason),
            _("Set memory.cuda_graphs to false."),
            "memory.graphs",
        )


RULES = (graphs,)
