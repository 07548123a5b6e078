"""Blocks of a model by the names and in the order that users of block weights know them. Knows no torch.

UNets: ``BASE`` (text encoders), ``IN00`` to ``IN11``, ``M00``, ``OUT00`` to ``OUT11``, XL up to 08, counted as in the
original repository. The lists are those of the extension "LoRA Block Weight" (17 and 12 numbers for the blocks with
attention, 26 and 20 for all) and of sd-scripts' ``block_dims`` (25; for XL 23, with the embeddings, three in the middle
and the output). Streams of transformers: ``DOUBLE0``, ``SINGLE0`` and so on; SD3's blocks, in which both streams meet,
are ``JOINT0`` and so on, and its layers of one sort in all blocks ``X_ATTN`` to ``CONTEXT_MOD``, as sd-scripts'
``train_block_indices`` and ``context_attn_dim`` have them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache

from lora_tui.weights.names.sd3_original import BLOCKS
from lora_tui.weights.names.sd3_original import ORIGINAL as SD3
from lora_tui.weights.names.sgm import sgm_path

BASE = "BASE"
_KINDS = (("input_blocks.", "IN"), ("output_blocks.", "OUT"))
_STREAMS = (("transformer_blocks.", "DOUBLE"), ("single_transformer_blocks.", "SINGLE"), ("layers.", "SINGLE"))
_SORTS = {"adaLN_modulation": "MOD", "attn": "ATTN", "attn2": "ATTN", "mlp": "MLP"}
_JOINT = re.compile(r"JOINT(\d+)(?:-(?:JOINT)?\d+)?|(?:X|CONTEXT)_(?:ATTN|MLP|MOD)")
_NAME = re.compile(r"(IN|OUT|M|DOUBLE|SINGLE|JOINT)(\d+)(?:\.\d)?|BASE|EMB|END|(?:X|CONTEXT)_(?:ATTN|MLP|MOD)")
_STREAMED = ("IN", "OUT", "DOUBLE", "SINGLE", "JOINT")
_MOST = 1000
"""More blocks of a kind than any model has."""
_RANGE = re.compile(r"(IN|OUT|DOUBLE|SINGLE|JOINT)(\d+)-(?:(?:IN|OUT|DOUBLE|SINGLE|JOINT))?(\d+)")


def _numbered(kind: str, *numbers: int) -> tuple[str, ...]:
    return tuple(f"{kind}{number:02}" for number in numbers)


_SD_ALL = (*_numbered("IN", *range(12)), "M00", *_numbered("OUT", *range(12)))
_XL_ALL = (*_numbered("IN", *range(9)), "M00", *_numbered("OUT", *range(9)))
_SD = (BASE, *_numbered("IN", 1, 2, 4, 5, 7, 8), "M00", *_numbered("OUT", *range(3, 12)))
_XL = (BASE, *_numbered("IN", 4, 5, 7, 8), "M00", *_numbered("OUT", *range(6)))
_XL_KOHYA = (
    "EMB", *_numbered("IN", *range(9)), "M00.0", "M00.1", "M00.2", *_numbered("OUT", *range(9)), "END",
)  # fmt: skip
_UNET, _LARGE = (
    {17: _SD, 25: _SD_ALL, 26: (BASE, *_SD_ALL)},
    {12: _XL, 19: _XL_ALL, 20: (BASE, *_XL_ALL), 23: _XL_KOHYA},
)
_LISTS = {"sd15": _UNET, "sd2": _UNET, "sdxl": _LARGE}


@cache
def slots_of(part: str, path: str) -> frozenset[str]:
    """The names of the block that the layer at ``path`` of ``part`` stands in; in the middle there are two."""
    if part.startswith("text_encoder"):
        return frozenset((BASE,))
    for beginning, name in _STREAMS:
        if path.startswith(beginning):
            return frozenset((f"{name}{int(path.removeprefix(beginning).partition('.')[0])}",))
    try:
        original = sgm_path(path, top_attends=True)
    except ValueError:
        return frozenset()
    for beginning, name in _KINDS:
        if original.startswith(beginning):
            return frozenset((f"{name}{int(original.removeprefix(beginning).partition('.')[0]):02}",))
    if original.startswith("middle_block."):
        return frozenset(("M00", f"M00.{original.split('.')[1]}"))
    return frozenset(("END",) if original.startswith("out.") else ("EMB",))


@cache
def sort_of(path: str) -> frozenset[str]:
    """``X_ATTN``, ``CONTEXT_MLP`` and so on: which sort of an SD3 block's layers the one at ``path`` is."""
    try:
        original, _place = SD3.original_of(path)
    except KeyError:
        return frozenset()
    _blocks, _dot, inner = original.partition(f"{BLOCKS}.")
    side, layer = (inner.split(".") + [""] * 2)[1:3]
    return frozenset((f"{side.removesuffix('_block').upper()}_{_SORTS[layer]}",) if layer in _SORTS else ())


def only_sd3(name: str) -> bool:
    """Whether ``name`` is that of SD3's blocks or of a sort of their layers, which other families have not."""
    return name == "JOINT" or _JOINT.fullmatch(name) is not None


def named_slots(text: str) -> frozenset[str]:
    """The blocks that ``text`` names (``IN04``, ``OUT03-OUT05``, ``SINGLE10-37``, all of a kind: ``DOUBLE``); empty
    where it names none."""
    if found := _RANGE.fullmatch(text):
        kind, first, last = found[1], int(found[2]), int(found[3])
        return frozenset(_one(kind, number) for number in range(first, min(last, _MOST - 1) + 1))
    if text in _STREAMED:
        return frozenset(_one(text, number) for number in range(_MOST))
    if found := _NAME.fullmatch(text):
        kind = found[1]
        return frozenset((text if kind in (None, "M") else _one(kind, int(found[2])),))  # BASE, X_ATTN ... have none
    return frozenset()


def _one(kind: str, number: int) -> str:
    kind = "DOUBLE" if kind == "JOINT" else kind  # diffusers calls both alike, and so does slots_of
    return f"{kind}{number:02}" if kind in ("IN", "OUT") else f"{kind}{number}"


def told_lengths() -> str:
    """How many numbers lists for ``blocks`` have: ``SD1.5 and 2: 17, 25, 26; XL: 12, 19, 20, 23``."""
    small, large = (", ".join(str(count) for count in sorted(lists)) for lists in (_UNET, _LARGE))
    return f"SD1.5, SD2: {small}; SDXL: {large}"


def listed_slots(name: str, count: int) -> tuple[str, ...]:
    """The blocks that a list of ``count`` numbers for ``name`` is about, in its order; empty for a list of no kind.

    ``name`` is ``blocks`` for one of the lists of a UNet, or a kind of blocks, which then are counted from 0.
    """
    if name in _STREAMED:
        return tuple(_one(name, number) for number in range(count))
    return {**_UNET, **_LARGE}.get(count, ()) if name == "blocks" else ()


def list_lengths(family: str, name: str, blocks: Iterable[frozenset[str]]) -> tuple[int, ...]:
    """How many numbers a list for ``name`` may have; ``blocks`` are those of the layers of the model."""
    if name == "blocks":
        return tuple(_LISTS.get(family, ()))
    if family in _LISTS and name in ("IN", "OUT"):
        return (12,) if _LISTS[family] is _UNET else (9,)
    if name == "JOINT" and family != "sd3":
        return ()
    name = "DOUBLE" if name == "JOINT" else name
    return tuple({len({one for names in blocks for one in names if one.startswith(name)})} - {0})
