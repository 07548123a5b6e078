"""Baking into a published size of checkpoint, and extracting from it: time and memory, each in a process of its own."""

from __future__ import annotations

import json
import math
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_tui.bench.common import Measure, tell
from lora_tui.errors import UserError
from lora_tui.python import python_command
from lora_tui.text.formats import bytes_text
from lora_tui.text.translate import _

if TYPE_CHECKING:
    from torch import Tensor

    from lora_tui.weights.operations.output import Pending

BAKE_BYTES, EXTRACT_SECONDS = 2.5e9, 60.0
RANK = 16
ROOM = 7_000_000_000
"""Bytes of disk that the files take."""


def measure(family: str = "sd15") -> Iterator[Measure]:
    """Of a whole checkpoint of random numbers in half precision, with a LoRA of rank 16 for every layer.

    Raises:
        UserError: the disk has no room.
    """
    from lora_tui.families import facts_for

    with tempfile.TemporaryDirectory(prefix="lora-tui-bench-") as holder:
        home = Path(holder)
        tell(_("LoRA: a checkpoint of full size is written …"))
        base, lora = home / "base.safetensors", home / "lora.safetensors"
        size = write_checkpoint(family, base)
        write_lora(family, base, lora)
        said = _("{family}, {size}, rank {rank}").format(
            family=facts_for(family).title, size=bytes_text(size), rank=RANK
        )
        baked = home / "baked.safetensors"
        tell(_("LoRA: bake …"))
        found = _apart({"operation": "bake", "base": base, "target": baked, "loras": [{"file": lora, "strength": 0.8}]})
        yield Measure(_("LoRA bake: memory"), found["peak_memory"], "bytes", bar=BAKE_BYTES, detail=said)
        yield Measure(_("LoRA bake: time"), found["seconds"], "s", detail=said)
        tell(_("LoRA: extract …"))
        asked = {"operation": "extract", "base": base, "tuned": baked, "rule": "rank", "value": RANK}
        found = _apart({**asked, "target": home / "extracted.safetensors"})
        yield Measure(_("LoRA extract: time"), found["seconds"], "s", bar=EXTRACT_SECONDS, detail=said)
        yield Measure(_("LoRA extract: memory"), found["peak_memory"], "bytes", detail=said)
        yield Measure(_("LoRA extract: kept of the change"), found["kept"], "share", detail=said)


def write_checkpoint(family: str, path: Path) -> int:
    """A checkpoint of ``family``, a UNet's, with the published shapes and random numbers; its size in bytes."""
    from lora_tui.families import facts_for
    from lora_tui.families.separate.tensors import clip_tensors
    from lora_tui.families.unet.facts import UnetFacts
    from lora_tui.families.unet.layout import file_name, is_vae_attention
    from lora_tui.families.unet.tensors import own_vae_tensors, unet_tensors
    from lora_tui.weights.operations.output import write_layers

    facts = facts_for(family)
    assert isinstance(facts, UnetFacts)
    shapes: dict[str, tuple[int, ...]] = {}
    for name, shape in unet_tensors(facts.full).items():
        wide = not facts.full.linear and ".attentions." in name and ".proj_" in name and name.endswith(".weight")
        shapes[file_name(facts, "unet", name)] = (*shape, 1, 1) if wide and len(shape) == 2 else shape
    for name, shape in own_vae_tensors(facts.full).items():
        shapes[file_name(facts, "vae", name)] = (*shape, 1, 1) if is_vae_attention(name) else shape
    for encoder, text in zip(facts.encoders, facts.full.text, strict=True):
        if not encoder.open_clip:
            shapes |= {encoder.file_name(name): shape for name, shape in clip_tensors(text).items()}
    layers = [_random(name, shape, number) for number, (name, shape) in enumerate(shapes.items())]
    return write_layers(path, layers, {"format": "pt"}, _Silent())


def _random(name: str, shape: tuple[int, ...], seed: int) -> Pending:
    import torch

    from lora_tui.weights.operations.output import Pending

    return Pending({name: (torch.float16, shape)}, partial(_drawn, name, shape, seed))


def _drawn(name: str, shape: tuple[int, ...], seed: int) -> dict[str, Tensor]:
    import torch

    spread = 1 / math.sqrt(math.prod(shape[1:]) or 1)
    return {name: (torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * spread).half()}


def write_lora(family: str, base: Path, path: Path) -> None:
    """A LoRA of rank 16 for every layer of ``base`` that has one, of about a hundredth of its weights."""
    import torch

    from lora_tui.families import facts_for
    from lora_tui.weights.lora_file import file_tensors
    from lora_tui.weights.lora_file import write_lora as written

    generator, layers = torch.Generator().manual_seed(1), {}
    for target in facts_for(family).targets(base):
        ones = (1, 1) if target.convolution else ()
        layers[target.part, target.path] = {
            "lora_down.weight": torch.randn(RANK, target.inputs, *ones, generator=generator) / math.sqrt(target.inputs),
            "lora_up.weight": torch.randn(target.outputs, RANK, *ones, generator=generator) * 0.003,
            "alpha": torch.tensor(float(RANK)),
        }
    written(path, file_tensors(family, layers, dtype=torch.float16), {})


class _Silent:
    """A report that nobody reads."""

    def progress(self, phase: str, done: int, total: int, detail: str = "") -> None: ...

    def warn(self, error: UserError) -> None: ...

    def should_stop(self) -> bool:
        return False


def _apart(options: Mapping[str, Any]) -> dict[str, Any]:
    """What came of an operation in a process of its own.

    Raises:
        UserError: it failed.
    """
    done = subprocess.run(
        python_command("-m", "lora_tui.weights.worker"),
        input=json.dumps(options, default=str), capture_output=True, text=True, check=False,
    )  # fmt: skip
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    if not lines or "result" not in lines[-1]:
        said = lines[-1].get("error", {}).get("message", "") if lines else done.stderr[-500:]
        raise UserError(_("The measured process failed: {said}").format(said=said), code="bench.lora")
    result: dict[str, Any] = lines[-1]["result"]
    return result
