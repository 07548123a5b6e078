"""The layers of numbered blocks that adapters attach to. Knows no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from lora_tui.families.protocol import TargetModule

DENOISER = "transformer"


def block_targets(blocks: str, count: int, layers: Mapping[str, tuple[int, int]]) -> Iterator[TargetModule]:
    """The ``layers`` of each of ``count`` ``blocks``: their paths in a block, with the widths that go in and out."""
    for number in range(count):
        for path, (inputs, outputs) in layers.items():
            yield TargetModule(DENOISER, f"{blocks}.{number}.{path}", inputs, outputs)
