"""``lora extract``: what a tuned checkpoint adds to its base as a LoRA, a LoCon or a full difference."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, cast, get_args

import torch
from torch import Tensor

from lora_tui.errors import UserError
from lora_tui.families import facts_for, told_prediction
from lora_tui.places import expand
from lora_tui.text import _, plain
from lora_tui.weights.base import open_base
from lora_tui.weights.base_reader import BaseReader
from lora_tui.weights.blocks import slot_of
from lora_tui.weights.difference import KINDS, Compared, Kind, beyond, compared, difference
from lora_tui.weights.lora_file import DTYPES, file_tensors
from lora_tui.weights.names import Layout, fuses, names_for
from lora_tui.weights.operations.bake import LIBRARIES, peak_memory
from lora_tui.weights.operations.history import noted
from lora_tui.weights.operations.leading import Leading, leading
from lora_tui.weights.operations.output import ROOM, Pending, checked_target, ready, write_layers
from lora_tui.weights.operations.spectrum import Keep, Spectrum, kept_ranks
from lora_tui.weights.places import Place
from lora_tui.weights.work import Report, check_stopped

RULES = ("rank", "threshold", "ratio", "quantile", "frobenius", "size")
"""How much of a layer is kept, by the ``value`` of the rule: so many directions; singular values above it; above it
times the largest; the fewest whose sum is that share of all; the fewest whose norm is; as fit a file of so many MB."""
MOST = 128
"""Directions of a layer that a file of a certain size may have at most, where nothing else is said."""
FIRST = 32
"""Directions that are looked at first, where a rule does not say how many there will be; then twice as many."""
COPIES = 6
"""Of the largest layer in float32 that are in memory at once."""
ENTRY = 96
"""Bytes of a file's header that a tensor takes besides the name of its layer, at most."""
METADATA = 4096
"""Bytes that the metadata take."""


@dataclass(frozen=True)
class Rule:
    """How much is kept; ``most`` directions of a layer at most, 0 for no limit."""

    name: str
    value: float
    most: int = 0
    most_conv: int = 0

    def limit(self, matrix: Tensor) -> int:
        """The most directions that a layer may have; all of them where nothing limits them."""
        return self.limit_of(tuple(matrix.shape))

    def limit_of(self, shape: tuple[int, ...]) -> int:
        """The same of a layer whose weight has this shape."""
        wide = len(shape) == 4 and shape[2:] != (1, 1)
        own = self.most_conv if wide and self.most_conv else self.most
        if self.name == "rank":
            own = self.most_conv if wide and self.most_conv else int(self.value)
        if self.name == "size":
            own = own or MOST
        sides = shape[0], math.prod(shape[1:])
        return min(own or min(sides), *sides)


@dataclass
class Layer:
    """What was found in one layer: its leading directions, and how many of them are kept."""

    place: Place
    found: Leading
    rank: int
    weight: float

    @property
    def kept(self) -> float:
        """The share of the norm that is kept."""
        own = float(self.found.found.values[: self.rank].pow(2).sum())
        return min(math.sqrt(own) / self.found.norm, 1.0) if self.found.norm else 1.0


@dataclass(frozen=True)
class Asked:
    """The options of an extraction."""

    base: Path
    tuned: Path
    target: Path
    kind: Kind
    rule: Rule
    text: bool
    precision: str
    layout: Layout
    force: bool
    preview: bool


@dataclass
class Result:
    """What came of all layers."""

    layers: list[dict[str, Any]] = field(default_factory=list)
    energy: float = 0.0
    kept: float = 0.0

    def add(
        self, family: str, place: Place, *, norm: float, weight: float, rank: int, kept: float, further: float
    ) -> None:
        self.energy += norm**2
        self.kept += (kept * norm) ** 2
        self.layers.append(
            {
                "layer": ".".join(place),
                "block": slot_of(family, place),
                "rank": rank,
                "norm": norm,
                "weight": weight,
                "kept": kept,
                "further": further,
            }
        )


def work(options: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """Extract; see the module. The options are those of :func:`asked`.

    Raises:
        UserError: the input is wrong, the two are the same, or the output is there.
        OSError: the disk is full or cannot be written.
    """
    wanted = asked(options)
    begun = time.monotonic()
    report.progress("loading", 0, 0)
    base, tuned = open_base(wanted.base), open_base(wanted.tuned)
    sources = [file.path for model in (base, tuned) for file in model.files]
    target = checked_target(wanted.target, sources, force=wanted.force)
    if wanted.kind == "full" and fuses(base.family, wanted.layout):
        raise _wrong(_("a full difference has no file in kohya's names for this family."), "--layout")
    with BaseReader(base) as one, BaseReader(tuned) as two:
        pair = compared(one, two, wanted.kind, text=wanted.text)
        for part in pair.missing:
            report.warn(_missing(part, wanted.tuned))
        if wanted.preview:
            return _foretold(pair, wanted)
        result = Result()
        if wanted.kind == "full":
            layers: Iterator[Pending] | list[Pending] = list(_differences(pair, wanted, result, report))
        else:
            layers = [ready(_matrices(pair, wanted, result, report))]
        if not result.layers:
            raise UserError(
                _("the two do not differ in any layer that a LoRA has."),
                place=plain(str(wanted.tuned)),
                remedy=_("Check that they are not the same model; --kind full looks at every layer."),
                code="lora.nothing",
            )
        left = _left_out(pair, wanted, report)
        told = _told(wanted, result, left)
        size = write_layers(target, layers, _metadata(wanted, base.family, told), report, force=wanted.force)
    return told | {
        "file": str(target), "family": base.family, "size": size, "peak_memory": peak_memory(),
        "seconds": time.monotonic() - begun, "layers_kept": result.layers,
    }  # fmt: skip


def asked(options: Mapping[str, Any]) -> Asked:
    """What ``options`` ask for.

    They are ``base``, ``tuned``, ``target``, ``kind``, ``rule``, ``value``, ``most``, ``most_conv``, ``text``,
    ``precision``, ``layout``, ``force`` and ``preview``.

    Raises:
        UserError: they are none (``lora.options``).
    """
    kind, name = str(options.get("kind", "lora")), str(options.get("rule", "rank"))
    precision, layout = str(options.get("precision", "fp16")), str(options.get("layout", "auto"))
    if kind not in KINDS or name not in RULES or precision not in DTYPES or layout not in get_args(Layout):
        raise _wrong(_("there is no such kind, rule, precision or layout."), "")
    try:
        value, most, conv = (float(options.get(key) or 0) for key in ("value", "most", "most_conv"))
    except (TypeError, ValueError):
        raise _wrong(_("the rule has no number."), "") from None
    bounds = {"rank": (1, 1 << 16), "threshold": (0, 1e9), "ratio": (0, 1), "quantile": (0, 1), "frobenius": (0, 1)}
    low, high = bounds.get(name, (0, 1e9))
    good = value == int(value) >= low if name == "rank" else low < value
    if (kind != "full" and not (good and value <= high)) or min(most, conv) < 0:
        raise _wrong(_("{value:g} is no value for {rule}.").format(value=value, rule=name), f"--{name}")
    return Asked(
        base=expand(str(options["base"])),
        tuned=expand(str(options["tuned"])),
        target=expand(str(options["target"])),
        kind=kind,
        rule=Rule(name, value, int(most), int(conv)),
        text=bool(options.get("text", True)),
        precision=precision,
        layout=cast(Layout, layout),
        force=bool(options.get("force")),
        preview=bool(options.get("preview")),
    )


def _wrong(message: str, place: str) -> UserError:
    return UserError(
        message,
        place=place,
        remedy=_("Rules: {names}; kinds: {kinds}.").format(names=", ".join(RULES), kinds=", ".join(KINDS)),
        code="lora.options",
    )


def _missing(part: str, tuned: Path) -> UserError:
    return UserError(
        _("it has no {part}, and the base has one: that is not compared.").format(part=part),
        place=plain(str(tuned)),
        code="lora.part",
    )


# -- matrices --------------------------------------------------------------------------------------------------------


def _matrices(pair: Compared, wanted: Asked, result: Result, report: Report) -> dict[str, Tensor]:
    """The tensors of the file: two thin matrices and an alpha for each layer that changed."""
    family = pair.base.base.family
    layers = []
    for number, place in enumerate(pair.chosen):
        check_stopped(report)
        report.progress("extracting", number, len(pair.chosen), ".".join(place))
        found = difference(pair, place)
        if found is not None:
            layers.append(_layer(place, found, float(pair.base.layer(place).norm()), wanted.rule))
    report.progress("extracting", len(pair.chosen), len(pair.chosen))
    if wanted.rule.name == "size":
        _spread(layers, wanted)
    kinds = {}
    for one in layers:
        result.add(
            family, one.place, norm=one.found.norm, weight=one.weight, rank=one.rank, kept=one.kept,
            further=one.found.further,
        )  # fmt: skip
        if one.rank:
            kinds[one.place] = _thin(one)
    return file_tensors(family, kinds, dtype=DTYPES[wanted.precision], layout=wanted.layout)


def _layer(place: Place, matrix: Tensor, weight: float, rule: Rule) -> Layer:
    most = rule.limit(matrix)
    asked_for = most if rule.name in ("rank", "size") else min(FIRST, most)
    if rule.name == "quantile":
        asked_for = min(matrix.flatten(1).shape)  # the sum of all singular values takes all of them
    while True:
        found = leading(matrix, asked_for)
        rank = _rank(found, rule, min(most, asked_for))
        if rank < asked_for or asked_for >= most:
            values = found.found.values[:most]
            own = type(found.found)(found.found.left[:, :most], values, found.found.right[:most], found.found.shape)
            return Layer(place, Leading(own, found.norm, found.further), min(rank, len(values)), weight)
        asked_for = min(asked_for * 2, most)


def _rank(found: Leading, rule: Rule, most: int) -> int:
    """How many of the directions that were found are kept, ``most`` at most."""
    values = found.found.values[:most].tolist()
    if rule.name in ("rank", "size") or not values:
        return len(values)
    if rule.name == "threshold":
        return sum(1 for value in values if value > rule.value)
    if rule.name == "ratio":
        return sum(1 for value in values if value > rule.value * values[0])
    power = 1 if rule.name == "quantile" else 2
    whole = float(found.found.values.sum()) if power == 1 else found.norm**2
    wanted, reached = whole * rule.value**power, 0.0
    for count, value in enumerate(values, 1):
        reached += value**power
        if reached >= wanted * (1 - 1e-6):
            return count
    return len(values)


def _spread(layers: list[Layer], wanted: Asked) -> None:
    """Give each layer as many directions as serve a file of the size best."""
    size = DTYPES[wanted.precision].itemsize
    spectra = {
        ".".join(one.place): Spectrum(
            tuple(one.found.found.values.tolist()),
            size * (one.found.found.left.shape[0] + one.found.found.right.shape[1]),
        )
        for one in layers
    }
    budget, keep = wanted.rule.value * 1_000_000, Keep("size", wanted.rule.value)
    ranks = kept_ranks(spectra, keep, rest=_rest(spectra))
    again = kept_ranks(spectra, keep, rest=_rest(name for name in spectra if ranks[name]))  # others take no room
    if (
        _rest(name for name in spectra if again[name]) + sum(again[name] * spectra[name].bytes for name in spectra)
        <= budget
    ):
        ranks = again
    for one in layers:
        one.rank = ranks[".".join(one.place)]


def _rest(names: Iterable[str]) -> int:
    """Bytes of a file with these layers that are no matrices, at most."""
    return ROOM + METADATA + sum(3 * (len(name) + ENTRY) for name in names)


def _thin(one: Layer) -> dict[str, Tensor]:
    """A layer's tensors; alpha is the rank, so that nothing scales them."""
    thin = one.found.found.first(one.rank)
    ones = [1] * (len(thin.shape) - 2)
    return {
        "lora_down.weight": thin.down.reshape(one.rank, *thin.shape[1:]),
        "lora_up.weight": thin.up.reshape(thin.shape[0], one.rank, *ones),
        "alpha": torch.tensor(float(one.rank)),
    }


# -- full differences ------------------------------------------------------------------------------------------------


def _differences(pair: Compared, wanted: Asked, result: Result, report: Report) -> Iterator[Pending]:
    """What is written of each layer that changed; it is computed again when it is written, so that none is kept."""
    family, dtype = pair.base.base.family, DTYPES[wanted.precision]
    names = names_for(family, wanted.layout)
    for number, place in enumerate(pair.chosen):
        check_stopped(report)
        report.progress("comparing", number, len(pair.chosen), ".".join(place))
        own = {which: difference(pair, place, which) for which in ("weight", "bias")}
        there = {which: tuple(found.shape) for which, found in own.items() if found is not None}
        if not there:
            continue
        norm = math.hypot(*(float(found.norm()) for found in own.values() if found is not None))
        before = pair.base.layer(place)
        result.add(
            family, place, norm=norm, weight=float(before.norm()), rank=min(before.flatten(1).shape) if before.dim() > 1
            else 0, kept=1.0, further=1.0,
        )  # fmt: skip
        is_norm = before.dim() == 1
        kinds = {"weight": "w_norm", "bias": "b_norm"} if is_norm else {"weight": "diff", "bias": "diff_b"}
        if "weight" not in there:  # a layer of this kind always has its matrix
            there["weight"] = tuple(before.shape)
        called = {which: names.tensor_name(*place, kinds[which]) for which in there}
        yield Pending(
            {called[which]: (dtype, shape) for which, shape in there.items()},
            partial(_difference, pair, place, called, there, dtype),
        )


def _difference(
    pair: Compared, place: Place, called: Mapping[str, str], shapes: Mapping[str, tuple[int, ...]], dtype: torch.dtype
) -> dict[str, Tensor]:
    found = {}
    for which, name in called.items():
        own = difference(pair, place, which)
        found[name] = (torch.zeros(shapes[which]) if own is None else own).to(dtype)
    return found


# -- what is told ----------------------------------------------------------------------------------------------------


def _left_out(pair: Compared, wanted: Asked, report: Report) -> dict[str, Any]:
    """How much changed in what is not extracted."""
    count, energy = 0, 0.0
    total = len(pair.others)
    for number, (_place, own) in enumerate(beyond(pair, wanted.kind)):
        check_stopped(report)
        report.progress("measuring", min(number, total), total)
        count, energy = count + 1, energy + own
    return {"count": count, "norm": math.sqrt(energy)}


def _told(wanted: Asked, result: Result, left: Mapping[str, Any]) -> dict[str, Any]:
    ranks = sorted({layer["rank"] for layer in result.layers if layer["rank"]})
    whole = result.energy + left["norm"] ** 2
    return {
        "base": wanted.base.name,
        "tuned": wanted.tuned.name,
        "kind": wanted.kind,
        "rule": None if wanted.kind == "full" else {"name": wanted.rule.name, "value": wanted.rule.value},
        "layers": sum(1 for layer in result.layers if layer["rank"] or wanted.kind == "full"),
        "ranks": [ranks[0], ranks[-1]] if ranks else [],
        "kept": math.sqrt(result.kept / result.energy) if result.energy else 1.0,
        "kept_of_all": math.sqrt(result.kept / whole) if whole else 1.0,
        "left_out": dict(left),
        "further": max(layer["further"] for layer in result.layers),
    }


def _foretold(pair: Compared, wanted: Asked) -> dict[str, Any]:
    """What headers tell: the layers that are looked at, the largest size of the file, and memory."""
    base, rule = pair.base.base, wanted.rule
    width = DTYPES[wanted.precision].itemsize
    shapes = [where.shape for place in pair.chosen if (where := base.layers[place, "weight"])]
    rest = _rest(".".join(place) for place in pair.chosen)
    values = [
        math.prod(shape) if wanted.kind == "full" else rule.limit_of(shape) * (shape[0] + math.prod(shape[1:]))
        for shape in shapes
    ]
    size = rest + width * sum(values)
    largest = max((math.prod(shape) for shape in shapes), default=0)
    thin = 0 if wanted.kind == "full" else 4 * sum(values)
    return {
        "preview": True, "file": str(wanted.target), "family": base.family, "kind": wanted.kind,
        "layers": len(pair.chosen), "memory": LIBRARIES + COPIES * 4 * largest + thin,
        "size": min(size, int(rule.value * 1_000_000)) if rule.name == "size" and wanted.kind != "full" else size,
    }  # fmt: skip


def _metadata(wanted: Asked, family: str, told: Mapping[str, Any]) -> dict[str, str]:
    facts = facts_for(family)
    version, architecture = facts.versions(told_prediction(family, wanted.base))
    entry = {"operation": "extract", **told}
    ranks = told["ranks"]
    rank = "Dynamic" if not ranks or ranks[0] != ranks[1] else str(ranks[0])
    metadata = {
        "ss_base_model_version": version,
        "ss_sd_model_name": wanted.base.name,
        "ss_v2": str(version.startswith("sd_v2")),
        "ss_network_module": "lycoris.kohya" if wanted.kind == "full" else "networks.lora",
        "ss_network_dim": rank,
        "ss_network_alpha": rank,
        "ss_output_name": wanted.target.stem,
        "modelspec.sai_model_spec": "1.0.1",
        "modelspec.architecture": f"{architecture}/lora",
        "modelspec.implementation": facts.implementation,
        "modelspec.title": wanted.target.stem,
    }
    words = _("extracted from {tuned} against {base}").format(tuned=wanted.tuned.name, base=wanted.base.name)
    return noted({name: value for name, value in metadata.items() if value}, json.loads(json.dumps(entry)), words)
