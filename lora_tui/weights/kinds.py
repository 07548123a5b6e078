"""The kinds of adapters besides LoRA: which tensors one has for a layer, and their shapes. Needs no torch.

Names and shapes are those of LyCORIS, see :mod:`lora_tui.weights.algebra`.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Mapping
from dataclasses import dataclass
from functools import cache

from lora_tui.text.translate import N_

Shapes = dict[str, tuple[int, ...]]

#: kind -> what a person calls it
NAMES: Mapping[str, str] = {
    "lora": "LoRA", "locon": "LoCon", "dylora": "DyLoRA", "loha": "LoHa", "lokr": "LoKr", "glora": "GLoRA",
    "ia3": "(IA)^3", "oft": "OFT", "boft": "BOFT", "full": N_("full difference"),
}  # fmt: skip
LYCORIS = ("loha", "lokr", "glora", "ia3", "oft", "boft", "full")
"""What LyCORIS calls them, but for OFT: ``diag-oft``."""
TURNED = ("oft", "boft")
"""Those that turn what a layer gives, and may be bound and rescaled."""
RANKED = ("loha", "lokr", "glora")
"""Those with a rank, whose update is multiplied by alpha / rank."""
UNRANKED = ("ia3", "full")
"""Those that have neither a rank nor blocks of a size that is chosen."""
SIZED = ("loha", "lokr")
"""Those that may be decomposed as DoRA, and that may have a scalar of their own, which files hold multiplied in."""
SCALAR, SIZES = "scalar", "dora_scale"
ROWS = "rows"
"""Where a layer is one of several in a file: which rows of the update are its own. No tensor of any file."""
_SCALED_OUTPUTS = ("to_k", "to_v", "add_k_proj", "add_v_proj", "k_proj", "v_proj")
_SCALED_INPUTS = (
    "ff.net.2", "ff_context.net.2", "ff.linear_out", "ff_context.linear_out", "img_mlp.net.2", "txt_mlp.net.2",
    "feed_forward.w2", "mlp.fc2",
)  # fmt: skip


NORM = "norm"
"""What a file adds to a norm's weight and bias; drawn with and merged, never trained."""
#: kind -> tensors' names of which no other kind has one
SIGNS: Mapping[str, tuple[str, ...]] = {
    "loha": ("hada_w1_a",),
    "lokr": ("lokr_w1", "lokr_w1_a"),
    "glora": ("a1.weight",),
    "ia3": ("on_input",),
    "full": ("diff",),
    NORM: ("w_norm",),
}
OFT = "oft_blocks"


def kind_of(names: Collection[str], dimensions: Mapping[str, int] | None = None) -> str:
    """The kind of adapter whose layer has tensors of these ``names``; empty for LoRA and what is not known.

    ``dimensions`` of the tensors tell OFT from BOFT, whose blocks have the same name.
    """
    for kind, signs in SIGNS.items():
        if any(sign in names for sign in signs):
            return kind
    if OFT in names:
        return "boft" if (dimensions or {}).get(OFT, 3) == 4 else "oft"
    return ""


@dataclass(frozen=True)
class Form:
    """How an adapter of one kind is built.

    Attributes:
        factor: of LoKr, the smaller side of the split, see :func:`factors`; -1 splits as evenly as it goes.
        both: of LoKr, whether the first of the two matrices is a product of two as well, where that is smaller.
        whole: of LoKr, whether neither is a product.
        tucker: whether wide convolutions of LoHa and LoKr have Tucker's form.
        sizes: of LoHa and LoKr, whether the sizes of the whole weight's columns are trained, too (DoRA).
        scalar: of LoHa and LoKr, whether what is added has a factor of its own that is trained.
        unbalanced: of LoKr, whether the larger part of the outputs belongs to the first matrix.
        rescaled: of OFT and BOFT, whether each output has a factor that is trained, too.
    """

    kind: str
    factor: int = -1
    both: bool = False
    whole: bool = False
    tucker: bool = False
    sizes: bool = False
    scalar: bool = False
    unbalanced: bool = False
    rescaled: bool = False


def adapts(kind: str, path: str) -> bool:
    """Whether an adapter of ``kind`` has anything for the layer at ``path``.

    (IA)^3 scales keys, values and what the second feed-forward layer reads, as its authors do; LyCORIS' preset of that
    name knows those layers of UNets and of CLIP alone. Blocks whose layers are keys, values and more in one have none.
    """
    return kind != "ia3" or path.endswith((*_SCALED_OUTPUTS, *_SCALED_INPUTS))


def scales_inputs(path: str) -> bool:
    """Whether (IA)^3 scales what goes into the layer at ``path``, not what comes out."""
    return path.endswith(_SCALED_INPUTS)


def tensor_shapes(form: Form, path: str, inputs: int, outputs: int, rank: int, *, kernel: int | None = None) -> Shapes:
    """The tensors of one layer in a file, without the alpha; a scalar is no part of one.

    Args:
        kernel: side of a convolution's kernel; none for a linear layer.
        rank: also the largest block of OFT and BOFT.

    Raises:
        ValueError: BOFT has no blocks for so many outputs.
    """
    sides = (kernel, kernel) if kernel else ()
    cells = kernel**2 if kernel else 1
    tucker = form.tucker and cells > 1
    sizes: Shapes = {SIZES: (1, inputs, *((1, 1) if kernel else ()))} if form.sizes else {}
    if form.kind == "loha":
        return _loha(inputs, outputs, rank, sides, cells, tucker) | sizes
    if form.kind == "lokr":
        return _lokr(form, inputs, outputs, rank, sides, cells, tucker) | sizes
    if form.kind == "glora":
        ones = (1, 1) if kernel else ()
        return {
            "a1.weight": (inputs, rank, *ones), "a2.weight": (rank, inputs, *ones),
            "b1.weight": (outputs, rank, *ones), "b2.weight": (rank, inputs, *sides),
        }  # fmt: skip
    if form.kind == "ia3":
        width = inputs if scales_inputs(path) else outputs
        return {"weight": (1, width, 1, 1) if kernel else (width,), "on_input": ()}
    rescale: Shapes = {"rescale": (outputs, 1, *((1, 1) if kernel else ()))} if form.rescaled else {}
    if form.kind == "oft":
        size, count = factors(outputs, rank)
        return {"oft_blocks": (count, size, size)} | rescale
    if form.kind == "boft":
        stages, count, size = butterfly_sizes(outputs, rank)
        return {"oft_blocks": (stages, count, size, size)} | rescale
    assert form.kind == "full"
    return {"diff": (outputs, inputs, *sides)}


def _loha(inputs: int, outputs: int, rank: int, sides: tuple[int, ...], cells: int, tucker: bool) -> Shapes:
    found: Shapes = {}
    for number in ("1", "2"):
        if tucker:
            found[f"hada_t{number}"] = (rank, rank, *sides)
        found[f"hada_w{number}_a"] = (rank, outputs) if tucker else (outputs, rank)
        found[f"hada_w{number}_b"] = (rank, inputs) if tucker else (rank, inputs * cells)
    return found


def _lokr(form: Form, inputs: int, outputs: int, rank: int, sides: tuple[int, ...], cells: int, tucker: bool) -> Shapes:
    """As LyCORIS decides it: a matrix is a product of two only where the rank is below half its larger side."""
    (in_small, in_large), (out_small, out_large) = factors(inputs, form.factor), factors(outputs, form.factor)
    if form.unbalanced:
        out_small, out_large = out_large, out_small
    found: Shapes = {}
    if form.both and not form.whole and rank < max(out_small, in_small) / 2:
        found |= {"lokr_w1_a": (out_small, rank), "lokr_w1_b": (rank, in_small)}
    else:
        found["lokr_w1"] = (out_small, in_small)
    if form.whole or rank >= max(out_large, in_large) / 2:
        found["lokr_w2"] = (out_large, in_large, *sides)
    elif tucker:
        found |= {"lokr_t2": (rank, rank, *sides), "lokr_w2_a": (rank, out_large), "lokr_w2_b": (rank, in_large)}
    else:
        found |= {"lokr_w2_a": (out_large, rank), "lokr_w2_b": (rank, in_large * cells)}
    return found


def rank_of(kind: str, shapes: Mapping[str, tuple[int, ...]]) -> int:
    """The rank of a layer with tensors of these ``shapes``; 1 where LoKr has none."""
    if kind == "loha":
        return shapes["hada_w1_b"][0]
    if kind == "glora":
        return shapes["a2.weight"][0]
    for name in ("lokr_w1_b", "lokr_w2_b"):
        if name in shapes:
            return shapes[name][0]
    return 1


def scale_of(names: Container[str], alpha: float, rank: int) -> float:
    """What the update of a layer with tensors of these ``names`` is multiplied by: 1 where LoKr has no rank at all."""
    return 1.0 if "lokr_w1" in names and "lokr_w2" in names else alpha / rank


@cache
def factors(dimension: int, factor: int = -1) -> tuple[int, int]:
    """``dimension`` as a product of two, the smaller first, for a Kronecker product.

    The smaller is ``factor`` where that divides it; otherwise the largest divisor that is neither above ``factor`` nor
    above the root (the only limit where ``factor`` is -1), so that 128 gives 8 and 16.
    """
    if factor > 0 and dimension % factor == 0:
        return min(factor, dimension // factor), max(factor, dimension // factor)
    most = dimension if factor < 0 else factor
    smaller = max(number for number in range(1, dimension + 1) if _fits(number, dimension, most))
    return smaller, dimension // smaller


def _fits(number: int, dimension: int, most: int) -> bool:
    return dimension % number == 0 and number <= max(most, 1) and number * number <= dimension


@cache
def butterfly_sizes(outputs: int, most: int) -> tuple[int, int, int]:
    """(stages, count, b) for BOFT: even blocks of which there are a power of two, as large as goes up to ``most``.

    Where none is so small, the smallest.

    Raises:
        ValueError: the number of outputs is odd.
    """
    fitting = [b for b in range(2, outputs + 1, 2) if outputs % b == 0 and (outputs // b).bit_count() == 1]
    if not fitting:
        raise ValueError(f"{outputs} outputs")
    size = max((b for b in fitting if b <= most), default=fitting[0])
    return (outputs // size - 1).bit_count() + 1, outputs // size, size
