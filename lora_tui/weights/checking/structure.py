"""What is wrong with a LoRA file by its header alone: names, shapes, alphas, layouts. Knows no torch.

Which names a family has says :mod:`lora_tui.weights.places`; widths are compared with those of the published model,
where the file is for one of these, or with those of a base model that is given.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from lora_tui.families import FAMILIES, facts_for
from lora_tui.families.protocol import TargetModule
from lora_tui.text import _, count, ngettext, plain
from lora_tui.weights.checking.finding import Finding, named
from lora_tui.weights.header.format import Header, TensorInfo, read_scalars
from lora_tui.weights.header.loras import DENOISER, LoraInfo, layout_of, part_of
from lora_tui.weights.header.told import PART_NAMES
from lora_tui.weights.header.whole import layer_flaws
from lora_tui.weights.names.originals import ORIGINALS
from lora_tui.weights.names.parts import kind_and_layer, other_and_layer
from lora_tui.weights.places import UNKNOWN, Place, places_by_name

HIGH_SCALE = 8.0
"""alpha / rank above this is hardly meant: the update counts many times what was trained at the usual 0.5 to 2."""
MOSTLY = 0.5
"""The part of a file's layers that must have a model's widths for the others to be called wrong."""
LoraParts = dict[str, dict[str, TensorInfo]]


@dataclass(frozen=True)
class Layers:
    """The layers of a file by their names in it.

    Attributes:
        parts: a layer's tensors: of LoRA ``down``, ``up``, ``mid``, ``alpha``, ``sizes``; else as LyCORIS calls them.
        strange: tensors that are no part of any layer.
        places: where in the family's model each layer is; several for a layer that is several of ours.
    """

    parts: LoraParts
    strange: tuple[str, ...]
    places: dict[str, tuple[Place, ...]]


def layers_of(header: Header, family: str) -> Layers:
    """The layers of a LoRA file of ``family``."""
    parts: LoraParts = {}
    own: dict[str, list[str]] = {}
    strange = []
    for name, tensor in header.tensors.items():
        kind, stem = kind_and_layer(name)
        if not kind or kind == "alpha":
            inner, other = other_and_layer(name)
            kind, stem = (inner, other) if inner else (kind, stem)
        if kind:
            parts.setdefault(stem, {})[kind] = tensor
            own.setdefault(stem, []).append(name)
        else:
            strange.append(name)
    for stem in [stem for stem, kinds in parts.items() if kinds.keys() <= {"alpha", "sizes", "dora_scale", "scalar"}]:
        strange += own[stem]
        del parts[stem]
    return Layers(parts, tuple(strange), _places(family, parts))


def _places(family: str, stems: Mapping[str, object]) -> dict[str, tuple[Place, ...]]:
    found: dict[str, tuple[Place, ...]] = {}
    for stem, place in places_by_name(family, stems).items():
        if place[0] != UNKNOWN:
            found[stem] = (place,)
        elif family in ORIGINALS and (path := ORIGINALS[family].named(stem)) is not None:
            try:
                found[stem] = tuple(("transformer", piece.path) for piece in ORIGINALS[family].layer_of(path))
            except KeyError:
                continue
    return found


def structure_findings(path: Path, header: Header, info: LoraInfo, layers: Layers) -> Iterator[Finding]:
    """What is wrong with names, alphas and layers."""
    for flaw in layer_flaws(path, header.tensors):
        yield Finding("error", flaw.code, flaw.message, flaw.remedy)
    yield from _alphas(path, layers)
    yield from _layouts(layers)
    yield from _twice(layers)
    yield from _unread(info.family, layers)
    yield from _stated(header, info)


def _alphas(path: Path, layers: Layers) -> Iterator[Finding]:
    """Alphas that are missing in some layers, or that are none."""
    lora = {stem: parts for stem, parts in layers.parts.items() if "down" in parts and "up" in parts}
    stated = {stem: parts["alpha"] for stem, parts in lora.items() if "alpha" in parts}
    if stated and len(stated) < len(lora):
        without = [stem for stem in lora if stem not in stated]
        text = ngettext(
            "{count} layer states no alpha, others do: {names}.",
            "{count} layers state no alpha, others do: {names}.",
            len(without),
        )
        yield Finding(
            "warning", "alpha.missing", text.format(count=count(len(without)), names=named(without)),
            _("Programs take their rank for it; convert the file, which writes every alpha."), tuple(without),
        )  # fmt: skip
    values = read_scalars(path, stated) if stated else {}
    none = [stem for stem, value in values.items() if not math.isfinite(value)]
    if none:
        text = _("The alpha of {names} is no finite number.").format(names=named(none))
        yield Finding("error", "alpha.none", text, _("The file is damaged; fetch it again."), tuple(none))
    zero = [stem for stem, value in values.items() if value == 0]
    if zero:
        text = _("The alpha of {names} is 0: the layer adds nothing.").format(names=named(zero))
        yield Finding("warning", "alpha.zero", text, _("Use a file that was saved with its alpha."), tuple(zero))
    high = [stem for stem, value in values.items() if _scale(value, lora[stem]) > HIGH_SCALE]
    if high:
        scale = max(_scale(values[stem], lora[stem]) for stem in high)
        text = _("alpha / rank is {scale:g} in {names}: what was trained counts so many times.")
        yield Finding(
            "warning", "alpha.high", text.format(scale=scale, names=named(high)),
            _("If images are overdone, use it at a lower strength, or bake that in with lora blocks."), tuple(high),
        )  # fmt: skip


def _scale(alpha: float, parts: Mapping[str, TensorInfo]) -> float:
    shape = parts["down"].shape
    return abs(alpha) / shape[0] if math.isfinite(alpha) and shape and shape[0] else 0.0


def _layouts(layers: Layers) -> Iterator[Finding]:
    """Names of two programs in one file."""
    found: dict[str, list[str]] = {}
    for stem in layers.parts:
        found.setdefault(layout_of(stem), []).append(stem)
    found.pop("lycoris", None)
    if "onetrainer" in found:
        found.pop("kohya", None)  # its text encoders have kohya's names
    if len(found) < 2:
        return
    text = _("The names of its layers are of two programs: {layouts}.").format(
        layouts=_(", ").join(f"{layout} ({count(len(stems))})" for layout, stems in found.items())
    )
    fewest = min(found.values(), key=len)
    remedy = _("Programs read one part or the other; write it in one layout with lora convert.")
    yield Finding("warning", "layout.mixed", text, remedy, tuple(fewest))


def _twice(layers: Layers) -> Iterator[Finding]:
    first: dict[Place, str] = {}
    twice = []
    for stem, places in layers.places.items():
        for place in places:
            if place in first and first[place] != stem:
                twice.append(stem)
            first.setdefault(place, stem)
    if twice:
        text = _("Layers are in it twice, under two names: {names}.").format(names=named(twice))
        remedy = _(
            "Two files were put into one: programs add the one, the other or both. Use the files they came from."
        )
        yield Finding("error", "layer.twice", text, remedy, tuple(dict.fromkeys(twice)))


def _unread(family: str, layers: Layers) -> Iterator[Finding]:
    """Layers and tensors that nothing can be done with."""
    if layers.strange:
        text = ngettext(
            "{count} tensor is no part of an adapter: {names}.",
            "{count} tensors are no part of an adapter: {names}.",
            len(layers.strange),
        )
        yield Finding(
            "warning", "key.strange", text.format(count=count(len(layers.strange)), names=named(layers.strange)),
            _("Programs pass over them; if they matter, the file needs a program of its own."), layers.strange,
        )  # fmt: skip
    if family not in FAMILIES:
        remedy = _("Its layers are none that a known model has; lora info shows what it says of itself.")
        yield Finding("warning", "family.unknown", _("It is not known which model it is for."), remedy)
        return
    missing = [stem for stem in layers.parts if stem not in layers.places]
    parts = {target.part for target in facts_for(family).targets()}
    title = facts_for(family).title
    for part in sorted({part_of(stem) for stem in missing} - {DENOISER} - parts):
        own = [stem for stem in missing if part_of(stem) == part]
        missing = [stem for stem in missing if stem not in own]
        text = _("It has {count} layers for a {part}, which is none that {family} trains: {names}.").format(
            count=count(len(own)), part=_(PART_NAMES[part]), family=title, names=named(own)
        )
        remedy = _("They do nothing here. If they should, the file is for another model than it looks.")
        yield Finding("warning", "part.lacking", text, remedy, tuple(own))
    if missing:
        text = ngettext(
            "{count} layer is none of {family}: {names}.", "{count} layers are none of {family}: {names}.", len(missing)
        )
        severe = len(missing) == len(layers.parts)
        remedy = _("Programs pass over them. Look whether the file is for another model, or from a program of its own.")
        yield Finding(
            "error" if severe else "warning", "key.unread",
            text.format(count=count(len(missing)), family=title, names=named(missing)), remedy, tuple(missing),
        )  # fmt: skip


def _stated(header: Header, info: LoraInfo) -> Iterator[Finding]:
    """Where the metadata say another rank than the layers have."""
    told = header.metadata.get("ss_network_dim", "")
    if not (told.isascii() and told.isdecimal()) or len(info.ranks) != 1 or _is_fused(header):
        return
    if int(told[:9]) != info.rank:
        text = _("Its metadata say rank {told}, its layers have {rank}.")
        remedy = _("Programs go by the layers; lora metadata --set ss_network_dim={rank} fixes the words.")
        told = plain(told, limit=20)
        yield Finding("note", "rank.stated", text.format(told=told, rank=info.rank), remedy.format(rank=info.rank))


def _is_fused(header: Header) -> bool:
    """Whether layers stand for several, whose ranks add up."""
    return any("qkv" in name or "linear1" in name for name in header.tensors)


# -- widths --------------------------------------------------------------------------------------------------------


def shape_findings(info: LoraInfo, layers: Layers, base: str = "") -> Iterator[Finding]:
    """Layers with other widths than the model's: that at ``base``, or the published one where most layers fit it."""
    if info.family not in FAMILIES:
        return
    targets = {(one.part, one.path): one for one in facts_for(info.family).targets(base, convolutions=True)}
    fitting, wrong = 0, []
    for stem, places in layers.places.items():
        found = _fits(layers.parts[stem], [targets[place] for place in places if place in targets], len(places))
        fitting += found is True
        if found is False:
            wrong.append(stem)
    if not wrong:
        return
    model = _("the base model") if base else facts_for(info.family).title
    if not base and fitting < MOSTLY * (fitting + len(wrong)):
        text = _("Its layers are not as wide as those of {model}: it is for a model of other widths.")
        remedy = _("Give that model with --base, and the widths are compared.")
        yield Finding("note", "shape.other", text.format(model=model), remedy)
        return
    text = ngettext(
        "{count} layer has not the widths of {model}: {names}.",
        "{count} layers have not the widths of {model}: {names}.",
        len(wrong),
    )
    remedy = _("Programs refuse them or the whole file. Use it with the model that it was trained on.")
    yield Finding(
        "error", "shape.wrong", text.format(count=count(len(wrong)), model=model, names=named(wrong)), remedy,
        tuple(wrong),
    )  # fmt: skip


def _fits(parts: Mapping[str, TensorInfo], targets: list[TargetModule], pieces: int) -> bool | None:
    """Whether a LoRA layer has the widths of its targets; none where that cannot be told."""
    if not targets or len(targets) != pieces or not {"down", "up"} <= parts.keys():
        return None
    down, up = parts["down"].shape, parts["up"].shape
    if len(down) < 2 or not up:
        return None
    inputs = math.prod(down[1:])
    wanted = targets[0].inputs * (targets[0].kernel ** 2 if targets[0].convolution and "mid" not in parts else 1)
    return inputs == wanted and up[0] == sum(target.outputs for target in targets)
