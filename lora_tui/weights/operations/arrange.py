"""The layers that are made under the names of a program, several in one where it has them so."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

import torch
from torch import Tensor

from lora_tui.errors import UserError
from lora_tui.text import _, plain
from lora_tui.weights.algebra import by_columns
from lora_tui.weights.fused import FEED, fuse
from lora_tui.weights.kinds import NAMES
from lora_tui.weights.names.original import Original
from lora_tui.weights.names.originals import ORIGINALS
from lora_tui.weights.names.programs import Naming
from lora_tui.weights.operations.layers import Copied, Made, Matrices, Thin, Whole, dense
from lora_tui.weights.operations.output import Pending
from lora_tui.weights.places import UNKNOWN, Place

DOWN, UP, ALPHA, SIZES = "lora_down.weight", "lora_up.weight", "alpha", "dora_scale"
ROW_SIZES = "lora_magnitude_vector"
"""A DoRA's sizes of rows, as peft has them; kohya's files call both the same, and their shapes tell them apart."""


class Names(Protocol):
    """What :class:`~lora_tui.weights.names.programs.Naming` offers."""

    @property
    def alpha(self) -> bool: ...
    def tensor(self, stem: str, kind: str) -> str: ...


@dataclass(frozen=True)
class AsRead:
    """The names of the file that was read: how it calls down and up, and whether an alpha stands beside them."""

    suffixes: Mapping[str, str]
    alpha: bool

    def tensor(self, stem: str, kind: str) -> str:
        """See :meth:`~lora_tui.weights.names.programs.Naming.tensor`."""
        return f"{stem}.{self.suffixes.get(kind, kind)}"


def arranged(layers: Mapping[Place, Made], naming: Naming) -> dict[str, Made]:
    """``layers`` by the names that the program gives them.

    Raises:
        UserError: it has no name for one of them (``lora.no_name``), or cannot hold several in one (``lora.fused``).
    """
    found: dict[str, Made] = {}
    groups: dict[str, dict[int, tuple[str, Made]]] = {}
    for (part, path), made in layers.items():
        if part == UNKNOWN:
            raise _no_name(path, naming)
        if naming.program == "peft" and part.startswith("text_encoder"):
            raise UserError(
                _("a file in peft's names holds one network, and this one has layers of a text encoder, too."),
                remedy=_("Convert it to diffusers' names, or leave them out with --without-text."),
                code="lora.no_name",
            )
        try:
            if naming.fused and part == "transformer":
                whole, place = ORIGINALS[naming.family].original_of(path)
                groups.setdefault(whole, {})[place] = (path, made)
            else:
                found[naming.stem(part, path)] = made
        except KeyError:
            raise _no_name(path, naming) from None
    for whole, pieces in groups.items():
        found[naming.stem("transformer", whole)] = _in_one(naming, whole, pieces)
    return found


def _in_one(naming: Naming, whole: str, pieces: dict[int, tuple[str, Made]]) -> Made:
    original = ORIGINALS[naming.family]
    count = len(original.layer_of(whole))
    if count == 1:
        return _renamed(original, whole, pieces[0][1])
    made = [one for _path, one in pieces.values()]
    odd = next(
        (one for one in made if isinstance(one, Copied) or (isinstance(one, Thin) and one.sizes is not None)), None
    )
    if odd is not None:
        kind = NAMES.get(odd.kind, odd.kind) if isinstance(odd, Copied) else "DoRA"
        raise UserError(
            _("its layer {name} is one of several that {program} keeps in one, which a {kind} cannot be.").format(
                name=plain(next(iter(pieces.values()))[0]), program=naming.program, kind=kind
            ),
            remedy=_("Make a plain LoRA of it with --as lora, or give another layout."),
            code="lora.fused",
        )
    if any(isinstance(one, Whole) for one in made):
        return _whole_in_one(pieces, count)
    shapes = [one.shape for one in made if isinstance(one, Thin)]
    width = shapes[0][1]
    if any(one[1] != width for one in shapes):
        raise _no_name(whole, naming)
    matrices = partial(_fused, naming.family, {path: one for path, one in pieces.values() if isinstance(one, Thin)})
    down, up, _alpha = (first := matrices()).down, first.up, first.alpha
    dtype = next(one.dtype for one in made if isinstance(one, Thin))
    exact = all(isinstance(one, Thin) and one.exact for one in made)
    return Thin((up.shape[0], down.shape[1]), down.shape[0], dtype, matrices, exact)


def _fused(family: str, pieces: Mapping[str, Thin]) -> Matrices:
    own = {path: one.make() for path, one in pieces.items()}
    ((down, up, alpha),) = fuse(
        family, {path: (m.down.flatten(1), m.up.flatten(1), m.alpha) for path, m in own.items()}
    ).values()
    return Matrices(down, up, alpha)


def _renamed(original: Original, whole: str, made: Made) -> Made:
    """One of diffusers' layers under its makers' name; of some modulations the halves change places."""
    if isinstance(made, Copied):
        return made
    rows, columns = made.shape[0], made.shape[-1] if len(made.shape) > 1 else 1
    if not original.is_turned(whole, rows, columns):
        return made
    if isinstance(made, Whole):
        return replace(made, make=lambda: _turned(made.make()), bias=_turned_bias(made.bias))
    if made.sizes is not None and not by_columns(made.sizes):
        return replace(made, make=partial(_turned_matrices, made.make), sizes=_turned(made.sizes))
    return replace(made, make=partial(_turned_matrices, made.make))


def _turned(rows: Tensor) -> Tensor:
    return torch.cat(rows.chunk(2)[::-1])


def _turned_bias(bias: Callable[[], Tensor] | None) -> Callable[[], Tensor] | None:
    return None if bias is None else lambda: _turned(bias())


def _turned_matrices(make: Callable[[], Matrices]) -> Matrices:
    own = make()
    return replace(own, up=_turned(own.up))


def _whole_in_one(pieces: dict[int, tuple[str, Made]], count: int) -> Whole:
    made = {place: one for place, (_path, one) in pieces.items() if not isinstance(one, Copied)}
    width = next(iter(made.values())).shape[1]
    heights = [width] * 3 + [FEED * width] * (count - 3)

    def make() -> Tensor:
        rows = [dense(made[place]) if place in made else torch.zeros(high, width) for place, high in enumerate(heights)]
        return torch.cat(rows)

    biases = {place: one.bias for place, one in made.items() if isinstance(one, Whole) and one.bias is not None}

    def bias() -> Tensor:
        return torch.cat(
            [biases[place]() if place in biases else torch.zeros(high) for place, high in enumerate(heights)]
        )

    return Whole((sum(heights), width), torch.float32, make, bias if biases else None)


def pending(stem: str, made: Made, names: Names, dtype: torch.dtype | None) -> Pending:
    """The tensors of one layer; ``dtype`` of all but alphas, which are float32; none: that of the source."""
    if isinstance(made, Copied):
        tensors = {names.tensor(stem, kind): _typed(kind, one, dtype) for kind, one in made.tensors.items()}
        return Pending({name: (one.dtype, tuple(one.shape)) for name, one in tensors.items()}, lambda: tensors)
    own = dtype or made.dtype
    if isinstance(made, Whole):
        plan = {names.tensor(stem, "diff"): (own, made.shape)}
        if made.bias is not None:
            plan[names.tensor(stem, "diff_b")] = (own, (made.shape[0],))
        return Pending(plan, partial(_of_whole, stem, made, names))
    sides = made.shape[2:]
    plan = {
        names.tensor(stem, DOWN): (own, (made.rank, *made.shape[1:])),
        names.tensor(stem, UP): (own, (made.shape[0], made.rank, *[1] * len(sides))),
    }
    if names.alpha:
        plan[names.tensor(stem, ALPHA)] = (torch.float32, ())
    if made.sizes is not None:
        name, sizes = _sizes(stem, made.sizes, names)
        plan[name] = (dtype or sizes.dtype, tuple(sizes.shape))
    return Pending(plan, partial(_of_thin, stem, made, names))


def _of_whole(stem: str, made: Whole, names: Names) -> dict[str, Tensor]:
    found = {names.tensor(stem, "diff"): made.make().reshape(made.shape)}
    return found | ({names.tensor(stem, "diff_b"): made.bias().reshape(-1)} if made.bias is not None else {})


def _of_thin(stem: str, made: Thin, names: Names) -> dict[str, Tensor]:
    own = made.make()
    up, rank = own.up, made.rank
    if not names.alpha and own.alpha != rank:
        up = up.float() * (own.alpha / rank)
    found = {
        names.tensor(stem, DOWN): own.down.reshape(rank, *made.shape[1:]),
        names.tensor(stem, UP): up.reshape(made.shape[0], rank, *[1] * len(made.shape[2:])),
        names.tensor(stem, ALPHA): torch.tensor(own.alpha, dtype=torch.float32),
    }
    if made.sizes is None:
        return found
    name, sizes = _sizes(stem, made.sizes, names)
    return found | {name: sizes}


def _sizes(stem: str, sizes: Tensor, names: Names) -> tuple[str, Tensor]:
    """A DoRA's sizes, and what the program calls them; peft has those of rows flat, or as channels."""
    name = names.tensor(stem, SIZES if by_columns(sizes) else ROW_SIZES)
    if "magnitude" in name:
        return name, sizes.reshape(-1) if sizes.dim() == 2 else sizes.transpose(0, 1)
    return name, sizes


def _typed(kind: str, tensor: Tensor, dtype: torch.dtype | None) -> Tensor:
    if kind == ALPHA:
        return tensor.float()
    return tensor.to(dtype) if dtype is not None and tensor.is_floating_point() else tensor


def _no_name(path: str, naming: Naming) -> UserError:
    return UserError(
        _("{program} has no name for the layer {name}.").format(program=naming.program, name=plain(path, limit=120)),
        remedy=_("Keep the layout as it is, or leave such layers out with --leave-out."),
        code="lora.no_name",
    )
