"""What is wrong with the numbers in a LoRA file, read piece by piece so that a file of any size fits into memory.

A layer of LoRA adds alpha / rank times up @ down; how large that is follows from the two Gram matrices of its factors,
tr((UᵀU)(DDᵀ)), without the product. It is compared as the root of its mean square, for weights of models have one of
some hundredths: an update beyond that drowns what the model knows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, BinaryIO

import torch
from torch import Tensor

from lora_tui.errors import UserError
from lora_tui.files import open_file
from lora_tui.text import _, count, ngettext, plain
from lora_tui.weights.checking.finding import Finding, named
from lora_tui.weights.header.format import Header, TensorInfo

PIECE = 1 << 20
"""Values that are looked at together: 4 MB in float32."""
MOST_RANK, MOST_DOWN = 2048, 1 << 24
"""Ranks, and values of the first matrix, up to which Gram matrices are made; beyond, the product of the two factors'
norms is told, which is an upper bound."""
TYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64,
    "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
    "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2,
}  # fmt: skip
EXPLODED = 0.5
"""Root of the mean square of an update from which on it drowns the weight it is added to."""
FAR_ABOVE = 100.0
NOTICED = 0.02
"""A layer so many times above the middle one, and above so much, stands out."""
HALF_LIMIT = 3e4
"""Above half of what float16 can hold, the next product overflows."""
Progress = Callable[[int, int], None]


@dataclass
class _Seen:
    """Of one tensor: numbers that are none, infinite ones, zeros, the largest, and the sum of squares."""

    values: int = 0
    nan: int = 0
    infinite: int = 0
    zeros: int = 0
    largest: float = 0.0
    squares: float = 0.0

    def add(self, piece: Tensor) -> None:
        """Look at some values, float32; a finite sum of squares shows that all of them are finite."""
        self.values += piece.numel()
        squares = float(torch.dot(piece, piece))
        if not math.isfinite(squares):
            self.nan += int(piece.isnan().sum())
            self.infinite += int(piece.isinf().sum())
            piece = piece[piece.isfinite()]
            squares = float(piece.double().square().sum())
        self.zeros += piece.numel() - int(torch.count_nonzero(piece))
        if piece.numel():
            low, high = torch.aminmax(piece)
            self.largest = max(self.largest, -float(low), float(high))
        self.squares += squares


@dataclass(frozen=True)
class LayerNorm:
    """How much a layer adds: the Frobenius norm of its update, and the root of its mean square."""

    name: str
    norm: float
    rms: float


@dataclass
class Numbers:
    """What was seen of a file.

    Attributes:
        seen: by tensor.
        norms: of LoRA's layers, in the order of the file.
        unread: tensors of types that cannot be read here.
    """

    seen: dict[str, _Seen] = field(default_factory=dict)
    norms: list[LayerNorm] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)

    @property
    def values(self) -> int:
        return sum(one.values for one in self.seen.values())


def look(
    path: Path, header: Header, parts: Mapping[str, Mapping[str, TensorInfo]], alphas: Mapping[str, float],
    *, progress: Progress = lambda done, total: None,
) -> Numbers:  # fmt: skip
    """Look at every number of the file.

    Args:
        parts: the layers' tensors, see :class:`lora_tui.weights.checking.structure.Layers`; ``alphas`` by layer.
        progress: told bytes that were read, and all.

    Raises:
        UserError: the file cannot be read.
    """
    found = Numbers()
    total = sum(tensor.bytes for tensor in header.tensors.values())
    done = 0
    names = {(tensor.start, tensor.end): name for name, tensor in header.tensors.items() if tensor.bytes}
    try:
        with open_file(path) as file:
            for name, tensor in header.tensors.items():
                if tensor.dtype not in TYPES:
                    found.unread.append(name)
                    continue
                seen = found.seen[name] = _Seen()
                for piece in _pieces(file, tensor):
                    seen.add(piece)
                    done += tensor.bytes * piece.numel() // max(math.prod(tensor.shape), 1)
                    progress(done, total)
            for stem, own in parts.items():
                matrices = [own[kind] for kind in ("down", "up") if kind in own]
                seen_ones = [found.seen.get(names.get((one.start, one.end), "")) for one in matrices]
                if len(matrices) == 2 and all(seen_ones) and "mid" not in own:
                    found.norms.append(_norm(file, stem, matrices, seen_ones, alphas.get(stem)))
    except OSError as error:
        raise UserError(
            _("it cannot be read: {reason}.").format(reason=plain(str(error.strerror or error), limit=200)),
            place=plain(str(path)),
            remedy=_("The file may be incomplete; fetch it again."),
            code="model.torn",
        ) from None
    return found


def _pieces(file: BinaryIO, tensor: TensorInfo, row: int = 1) -> Iterator[Tensor]:
    """The values of a tensor as flat float32 pieces, each of whole rows of ``row`` values."""
    dtype = TYPES[tensor.dtype]
    step = max(PIECE // row, 1) * row * dtype.itemsize
    for start in range(tensor.start, tensor.end, step):
        file.seek(start)
        data = file.read(min(step, tensor.end - start))
        if len(data) < min(step, tensor.end - start):
            raise OSError(0, _("the file became shorter"))
        yield torch.frombuffer(bytearray(data), dtype=dtype).float()


def _norm(
    file: BinaryIO, stem: str, matrices: Sequence[TensorInfo], seen: Sequence[Any], alpha: float | None
) -> LayerNorm:
    """How much a layer adds; infinite where a number of it is none."""
    down, up = matrices
    rank = down.shape[0] if down.shape else 0
    inputs, outputs = math.prod(down.shape[1:]), up.shape[0] if up.shape else 0
    scale = abs(rank if alpha is None else alpha) / max(rank, 1)
    if any(one.nan or one.infinite for one in seen) or not math.isfinite(scale):
        return LayerNorm(stem, math.inf, math.inf)
    if rank > MOST_RANK or rank * inputs > MOST_DOWN or math.prod(up.shape[1:]) != rank or not rank:
        norm = math.sqrt(seen[0].squares) * math.sqrt(seen[1].squares)
    else:
        inner = torch.zeros(rank, rank, dtype=torch.float64)
        for piece in _pieces(file, up, rank):
            rows = piece.view(-1, rank)
            inner += (rows.T @ rows).double()
        flat = torch.cat([*_pieces(file, down)]).view(rank, inputs)
        norm = math.sqrt(max(float((inner * (flat @ flat.T).double()).sum()), 0.0))
        if not math.isfinite(norm):  # squares beyond float32
            norm = math.sqrt(seen[0].squares) * math.sqrt(seen[1].squares)
    cells = inputs * outputs
    return LayerNorm(stem, norm * scale, norm * scale / math.sqrt(cells) if cells else 0.0)


# -- what is wrong ---------------------------------------------------------------------------------------------------


def number_findings(numbers: Numbers, parts: Mapping[str, Mapping[str, TensorInfo]]) -> Iterator[Finding]:
    """Numbers that are none, layers that do nothing, layers that do far too much."""
    broken = [name for name, seen in numbers.seen.items() if seen.nan or seen.infinite]
    if broken:
        nan = sum(numbers.seen[name].nan for name in broken)
        infinite = sum(numbers.seen[name].infinite for name in broken)
        text = _("Numbers in it are none: {nan} NaN, {infinite} infinite, in {names}.").format(
            nan=count(nan), infinite=count(infinite), names=named(broken)
        )
        remedy = _("The training that wrote it had broken down; use an earlier file of it.")
        yield Finding("error", "number.none", text, remedy, tuple(broken))
    if numbers.unread:
        text = _("The numbers of {names} are of a type that is not read here.").format(names=named(numbers.unread))
        yield Finding("note", "number.unread", text, "", tuple(numbers.unread))
    yield from _dead(numbers, parts)
    yield from _large(numbers)


def _dead(numbers: Numbers, parts: Mapping[str, Mapping[str, TensorInfo]]) -> Iterator[Finding]:
    dead = [layer.name for layer in numbers.norms if layer.norm == 0]
    measured = {layer.name for layer in numbers.norms}
    whole = [stem for stem in parts if stem in measured]
    if not dead:
        return
    if len(dead) == len(whole):
        text = _("All {count} layers add nothing: the file changes no image.").format(count=count(len(dead)))
        remedy = _("It was saved before its training began, or the training learned nothing.")
        yield Finding("error", "layer.dead", text, remedy, tuple(dead))
        return
    text = ngettext(
        "{count} of {all} layers adds nothing: {names}.", "{count} of {all} layers add nothing: {names}.", len(dead)
    )
    remedy = _(
        "Harmless where these layers were not trained; else their learning rate was 0, or the file is an early one."
    )
    yield Finding(
        "warning", "layer.dead", text.format(count=count(len(dead)), all=count(len(whole)), names=named(dead)), remedy,
        tuple(dead),
    )  # fmt: skip


def _large(numbers: Numbers) -> Iterator[Finding]:
    finite = [layer for layer in numbers.norms if math.isfinite(layer.rms) and layer.norm > 0]
    burst = [layer for layer in finite if layer.rms > EXPLODED]
    if burst:
        worst = max(burst, key=lambda layer: layer.rms)
        text = ngettext(
            "{count} layer adds more than any model's weights: {names}, up to {rms:.2g} a weight.",
            "{count} layers add more than any model's weights: {names}, up to {rms:.2g} a weight.",
            len(burst),
        )
        names = [layer.name for layer in burst]
        yield Finding(
            "error", "layer.exploded", text.format(count=count(len(burst)), names=named(names), rms=worst.rms),
            _("Images will be noise. Use an earlier file, and train with a lower learning rate."), tuple(names),
        )  # fmt: skip
    middle = median(layer.rms for layer in finite) if finite else 0.0
    out = [one for one in finite if one not in burst and one.rms > max(FAR_ABOVE * middle, NOTICED)]
    if out:
        text = _("{names} add over {times} times as much as the middle layer.")
        names = [layer.name for layer in out]
        yield Finding(
            "warning", "layer.large", text.format(names=named(names), times=count(FAR_ABOVE)),
            _("Look at images at a low strength; lora blocks weakens single blocks."), tuple(names),
        )  # fmt: skip
    near = [name for name, seen in numbers.seen.items() if seen.largest > HALF_LIMIT]
    if near:
        text = _("Numbers up to {largest:.2g} are near what float16 can hold: {names}.").format(
            largest=max(numbers.seen[name].largest for name in near), names=named(near)
        )
        yield Finding(
            "warning", "number.large", text, _("Programs that draw in float16 may give black images."), tuple(near)
        )


def summary(numbers: Numbers) -> dict[str, Any]:
    """The figures of a file for JSON."""
    finite = [layer for layer in numbers.norms if math.isfinite(layer.rms)]
    if not finite:
        return {}
    largest = max(finite, key=lambda layer: layer.rms)
    return {
        "layers": len(numbers.norms), "norm": math.sqrt(sum(layer.norm**2 for layer in finite)),
        "median_rms": median(layer.rms for layer in finite), "largest_rms": largest.rms, "largest": largest.name,
        "zeros": sum(seen.zeros for seen in numbers.seen.values()),
    }  # fmt: skip
