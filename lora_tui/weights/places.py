"""Which layer of a family's model a name in a LoRA file stands for, with no model at hand. Knows no torch."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

from lora_tui.families import FAMILIES, facts_for
from lora_tui.weights.names.chroma_original import APPROXIMATOR
from lora_tui.weights.names.known import known_names
from lora_tui.weights.names.originals import ORIGINALS
from lora_tui.weights.names.zimage_original import OUTER

Place = tuple[str, str]
"""(part, dotted path) of a layer of diffusers' model; (``""``, name in the file) of one that no family has."""
UNKNOWN = ""
_MOST = 400
"""More blocks of one kind than any model has; a name with a larger number stands for none."""
_NUMBER = re.compile(r"(?<![0-9])[0-9]{1,3}(?![0-9])")
_QWEN = (
    "img_mod.1", "txt_mod.1", "attn.norm_q", "attn.norm_k", "attn.norm_added_q", "attn.norm_added_k", "attn.to_add_out",
    "txt_mlp.net.0.proj", "txt_mlp.net.2", "attn.add_q_proj",
)  # fmt: skip
_QWEN_WHOLE = (
    "img_in", "txt_in", "txt_norm", "norm_out.linear", "proj_out", "time_text_embed.timestep_embedder.linear_1",
    "time_text_embed.timestep_embedder.linear_2",
)  # fmt: skip


def places_by_name(family: str, names: Iterable[str]) -> dict[str, Place]:
    """Which layer each of ``names`` stands for; those that are no layer's of ``family`` stand for themselves."""
    names = tuple(names)
    known = _known(family, _blocks(names)) if family in FAMILIES else {}
    return {name: known.get(name, (UNKNOWN, name)) for name in names}


def _blocks(names: Iterable[str]) -> int:
    """How many blocks of a kind there may be at most, by the numbers in ``names``."""
    numbers = (int(number) for name in names for number in _NUMBER.findall(name))
    return max((number for number in numbers if number < _MOST), default=0) + 1


@lru_cache(maxsize=8)
def _known(family: str, blocks: int) -> dict[str, Place]:
    """Every name that a file may have for a layer, norms too, of a model with up to so many blocks of each kind."""
    found: dict[str, Place] = {}
    for place in dict.fromkeys(_places(family, blocks)):
        for name in known_names(family, *place):
            found.setdefault(name, place)
    return found


def _places(family: str, blocks: int) -> Iterator[Place]:
    targets = facts_for(family).targets(convolutions=True)
    yield from ((target.part, target.path) for target in targets)
    yield from _text(sorted({target.part for target in targets if target.part.startswith("text_encoder")}), blocks)
    if facts_for(family).denoiser == "unet":
        yield from (("unet", path) for path in _unet({target.path for target in targets if target.part == "unet"}))
    else:
        yield from (("transformer", path) for path in _transformer(family, blocks))


def _text(parts: Iterable[str], blocks: int) -> Iterator[Place]:
    for part in parts:
        yield part, "final_layer_norm"
        for number in range(blocks):
            layer = f"encoder.layers.{number}"
            yield from ((part, f"{layer}.self_attn.{name}_proj") for name in ("q", "k", "v", "out"))
            yield from ((part, f"{layer}.{name}") for name in ("mlp.fc1", "mlp.fc2", "layer_norm1", "layer_norm2"))


def _unet(targets: Iterable[str]) -> Iterator[str]:
    """What no adapter of ours attaches to: the layers around the blocks, and norms."""
    yield from ("conv_in", "conv_out", "conv_norm_out", "time_embedding.linear_1", "time_embedding.linear_2")
    yield from ("add_embedding.linear_1", "add_embedding.linear_2")
    for path in sorted(targets):
        if path.endswith(".proj_in"):
            yield f"{path.removesuffix('.proj_in')}.norm"
        elif path.endswith(".attn1.to_q"):
            yield from (f"{path.removesuffix('.attn1.to_q')}.norm{number}" for number in (1, 2, 3))
        elif path.endswith(".conv1"):
            resnet = path.removesuffix(".conv1")
            yield from (f"{resnet}.{name}" for name in ("norm1", "norm2", "conv_shortcut"))


def _transformer(family: str, blocks: int) -> Iterator[str]:
    if family == "qwen":
        yield from _QWEN_WHOLE
        inner = {target.path.split(".", 2)[2] for target in facts_for(family).targets()}
        yield from (
            f"transformer_blocks.{number}.{path}" for number in range(blocks) for path in sorted({*inner, *_QWEN})
        )
        return
    original = ORIGINALS[family]
    for path in original.paths(dict.fromkeys(original.blocks, blocks)):
        yield from (piece.path for piece in original.layer_of(path))
    if family == "zimage":
        yield from OUTER.values()
    if family == "chroma":
        yield from (f"{APPROXIMATOR}.{end}" for end in ("in_proj", "out_proj"))
        for number in range(blocks):
            yield f"{APPROXIMATOR}.norms.{number}"
            yield from (f"{APPROXIMATOR}.layers.{number}.linear_{which}" for which in (1, 2))


def shaped(family: str, place: Place, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The ``shape`` of what is added to the layer at ``place``, [outputs, inputs(, k, k)], as its weight has it.

    Files keep convolutions flat in some kinds of adapters; where the layer is none of the family's, it stays as it is.
    """
    kernel = _kernels(family).get(place, 0) if family in FAMILIES else 0
    if not kernel or len(shape) != 2 or shape[1] % kernel**2:
        return shape
    return shape[0], shape[1] // kernel**2, kernel, kernel


@lru_cache(maxsize=8)
def _kernels(family: str) -> dict[Place, int]:
    """The convolutions of a family, by place."""
    found = {
        (target.part, target.path): target.kernel
        for target in facts_for(family).targets(convolutions=True)
        if target.convolution
    }
    return found | ({("unet", "conv_in"): 3, ("unet", "conv_out"): 3} if facts_for(family).denoiser == "unet" else {})
