"""Whether the layers in a LoRA file are whole: shapes that fit together and types of matrices. Needs no torch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path

from lora_tui.errors import UserError
from lora_tui.text import _, plain
from lora_tui.weights.header.format import TensorInfo
from lora_tui.weights.kinds import OFT, SIZED, SIZES, kind_of
from lora_tui.weights.names.parts import kind_and_layer, other_and_layer

FLOATS = ("F16", "BF16", "F32", "F64", "F8_E4M3", "F8_E5M2")
WHOLES = ("I8", "I16", "I32", "I64", "U8", "U16", "U32", "U64")
NUMBERS = ("alpha", "scalar", "on_input")
"""Tensors that hold one number each."""
#: kind -> products of two matrices in a layer of it: the first, the second, and what stands in for both
_PRODUCTS: Mapping[str, tuple[tuple[str, str, str], ...]] = {
    "loha": (("hada_w1_a", "hada_w1_b", ""), ("hada_w2_a", "hada_w2_b", "")),
    "lokr": (("lokr_w1_a", "lokr_w1_b", "lokr_w1"), ("lokr_w2_a", "lokr_w2_b", "lokr_w2")),
    "glora": (("a1.weight", "a2.weight", ""), ("b1.weight", "b2.weight", "")),
}
#: How many sides a tensor of such a layer has at least.
_SIDES: Mapping[str, int] = {
    **dict.fromkeys((name for products in _PRODUCTS.values() for pair in products for name in pair if name), 2),
    **dict.fromkeys(("hada_t1", "hada_t2", "lokr_t2"), 4),
    **dict.fromkeys(("diff", "weight", "w_norm", "b_norm", "diff_b", "rescale", SIZES), 1),
    OFT: 3,
}
_CORES = {"hada_w1_a": "hada_t1", "hada_w2_a": "hada_t2", "lokr_w2_a": "lokr_t2"}
Parts = Mapping[str, TensorInfo]


def check_layers(path: Path, tensors: Mapping[str, TensorInfo]) -> None:
    """Refuse a LoRA file with a layer that is not whole.

    Raises:
        UserError: see :func:`layer_flaws`.
    """
    for flaw in layer_flaws(path, tensors):
        raise flaw


def layer_flaws(path: Path, tensors: Mapping[str, TensorInfo]) -> Iterator[UserError]:
    """Every layer that is not whole: with only one of two matrices (``lora.incomplete``), or with shapes or types that
    no layer has (``lora.damaged``)."""
    plain_ones: dict[str, dict[str, TensorInfo]] = {}
    others: dict[str, dict[str, TensorInfo]] = {}
    for name, tensor in tensors.items():
        kind, stem = kind_and_layer(name)
        if kind:
            plain_ones.setdefault(stem, {})[kind] = tensor
        inner, stem = other_and_layer(name)
        if inner:
            others.setdefault(stem, {})[inner] = tensor
    for stem, parts in plain_ones.items():
        if not parts.keys() & {"down", "up"}:
            continue  # an alpha or sizes of something else
        if not parts.keys() >= {"down", "up"}:
            yield _half(path, stem)
        else:
            yield from _flaws(path, stem, parts, fits=_lora_fits(parts))
    for stem, parts in others.items():
        kind = kind_of(parts, {name: len(tensor.shape) for name, tensor in parts.items()})
        if not kind or (SIZES in parts and kind not in SIZED):
            continue
        products = _PRODUCTS.get(kind, ())
        halves = any(instead not in parts and not parts.keys() >= {one, two} for one, two, instead in products)
        if halves or (kind == "ia3" and "weight" not in parts):
            yield _half(path, stem)
        else:
            yield from _flaws(path, stem, parts, fits=_products_fit(kind, parts))


def _flaws(path: Path, stem: str, parts: Parts, *, fits: bool) -> Iterator[UserError]:
    single = all(math.prod(parts[name].shape) == 1 for name in NUMBERS if name in parts)
    if not (fits and single and all(math.prod(tensor.shape) for tensor in parts.values())):
        yield _damaged(
            path,
            _("the tensors of its layer {name} have shapes that no layer has: {shapes}.").format(
                name=plain(stem, limit=120),
                shapes=", ".join(f"{name} {_sizes(tensor)}" for name, tensor in sorted(parts.items())),
            ),
        )
    for name, tensor in parts.items():
        allowed = (
            (*FLOATS, *WHOLES, "BOOL") if name == "on_input" else (*FLOATS, *WHOLES) if name in NUMBERS else FLOATS
        )
        if tensor.dtype not in allowed:
            yield _damaged(
                path,
                _("its layer {name} has a tensor {inner} of the type {type}, which is none that is read here.").format(
                    name=plain(stem, limit=120), inner=name, type=tensor.dtype
                ),
            )


def _lora_fits(parts: Parts) -> bool:
    """``down`` [rank, inputs(, k, k)], ``up`` [outputs, rank(, 1, 1)]; in Tucker's form ``mid`` [rank, own, k, k]."""
    down, up = parts["down"].shape, parts["up"].shape
    if min(len(down), len(up)) < 2 or any(side != 1 for side in up[2:]):
        return False
    rank, inputs, outputs = down[0], down[1], up[0]
    if "mid" in parts:
        mid = parts["mid"].shape
        if len(mid) != 4 or mid[1] != rank or any(side != 1 for side in down[2:]):
            return False
        rank = mid[0]
    if up[1] != rank:
        return False
    if "row_sizes" in parts and math.prod(parts["row_sizes"].shape) != outputs:
        return False
    if "sizes" not in parts:
        return True
    sizes = parts["sizes"].shape
    columns = len(sizes) > 1 and sizes[0] == 1 and math.prod(sizes) == inputs
    return columns or (sizes[:1] == (outputs,) and math.prod(sizes) == outputs)


def _products_fit(kind: str, parts: Parts) -> bool:
    """Whether tensors have as many sides as such a layer's, and matrices that are multiplied a rank in common.

    Tucker's are left to what they are put into.
    """
    if any(len(tensor.shape) < _SIDES.get(name, 0) for name, tensor in parts.items()):
        return False
    for first, second, _instead in _PRODUCTS.get(kind, ()):
        if first not in parts or second not in parts:
            continue
        one, two = parts[first].shape, parts[second].shape
        if min(len(one), len(two)) < 2 or (_CORES.get(first) not in parts and one[1] != two[0]):
            return False
    return True


def _sizes(tensor: TensorInfo) -> str:
    return f"[{', '.join(map(str, tensor.shape))}]"


def _half(path: Path, stem: str) -> UserError:
    return UserError(
        _("the layer {name} has only one of its two matrices.").format(name=plain(stem, limit=120)),
        place=plain(str(path)),
        remedy=_("The file is incomplete; fetch it again."),
        code="lora.incomplete",
    )


def _damaged(path: Path, message: str) -> UserError:
    return UserError(
        message, place=plain(str(path)), remedy=_("The file is damaged; fetch it again."), code="lora.damaged"
    )
