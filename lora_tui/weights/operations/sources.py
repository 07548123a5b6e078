"""The LoRA files that something is made of: their layers under one name each, with what each is multiplied by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from torch import Tensor

from lora_tui.errors import UserError
from lora_tui.text import _, plain
from lora_tui.weights.blocks import block_weights, slots_by_name
from lora_tui.weights.delta import Adapter, open_adapter
from lora_tui.weights.header.format import read_header
from lora_tui.weights.header.loras import lora_info
from lora_tui.weights.header.models import UNKNOWN as UNKNOWN_FAMILY
from lora_tui.weights.ingredients import Ingredient
from lora_tui.weights.names.originals import ORIGINALS
from lora_tui.weights.names.parts import kind_and_layer
from lora_tui.weights.names.programs import Program, naming
from lora_tui.weights.operations.arrange import DOWN, ROW_SIZES, SIZES, UP, AsRead, Names, arranged
from lora_tui.weights.operations.layers import Made, Mixed, Part, Shape, summed
from lora_tui.weights.places import UNKNOWN, Place, shaped
from lora_tui.weights.reading import LoraLayer

#: What the header's reader calls a layout -> the program whose names they are.
_LAYOUTS: Mapping[str, Program] = {
    "kohya": "kohya", "lycoris": "kohya", "diffusers": "diffusers", "peft": "peft", "comfyui": "comfyui",
    "onetrainer": "onetrainer",
}  # fmt: skip
_KINDS = {"down": DOWN, "up": UP, "sizes": SIZES, "row_sizes": ROW_SIZES}
Weights = Callable[[Place], Tensor]
_TEXT = ("text_encoder", "lora_te", "te_", "te1_", "te2_", "clip_")


@dataclass(frozen=True)
class Source:
    """One file: what is asked of it, what it is, and where each of its layers stands in the common naming."""

    asked: Ingredient
    adapter: Adapter
    layout: str
    strength_of: Callable[[Place], float]

    @property
    def path(self) -> Path:
        return self.asked.path


@dataclass(frozen=True)
class Sources:
    """Files of one family.

    Attributes:
        as_read: whether layers keep the names of the first file, so that none is taken apart or renamed.
        program: whose names the first file has.
    """

    files: tuple[Source, ...]
    family: str
    as_read: bool
    program: Program

    def places(self) -> list[Place]:
        """Of all layers, in the order of the files."""
        return list(dict.fromkeys(place for one in self.files for place in one.adapter.layers))

    def parts_at(self, place: Place) -> list[Part]:
        """The layers of all files at ``place``, each with what it is multiplied by."""
        return [
            (one.adapter.layers[place], one.strength_of(place)) for one in self.files if place in one.adapter.layers
        ]

    def shape(self, place: Place) -> Callable[[Shape], Shape]:
        """What makes a weight's shape of one that a file keeps flat."""
        return lambda shape: shaped(self.family, place, shape)


def open_sources(
    asked: Sequence[Ingredient],
    *,
    family: str = "",
    program: Program | None = None,
    without_text: bool = False,
    apart: bool = False,
) -> Sources:
    """The files, read with the layers as they are stored where their names agree and no others are asked for.

    Args:
        program: whose names the new file has; none: those of the first.
        apart: give each of diffusers' layers by itself in any case.

    Raises:
        UserError: one cannot be read, or they are for different families (``lora.families``).
    """
    infos = [lora_info(one.path) for one in asked]
    families = [family or info.family for info in infos]
    known = {one for one in families if one != UNKNOWN_FAMILY}
    if len(known) > 1:
        first = next(one for one in families if one != UNKNOWN_FAMILY)
        odd = next(place for place, one in enumerate(families) if one not in (first, UNKNOWN_FAMILY))
        raise UserError(
            _("it is for {family}, and {other} for {first}: what they add is for different layers.").format(
                family=families[odd], other=plain(asked[families.index(first)].path.name), first=first
            ),
            place=plain(str(asked[odd].path)),
            remedy=_("Merge files of one family; --family says which where the files do not tell."),
            code="lora.families",
        )
    whose = next(iter(known), UNKNOWN_FAMILY)
    own = _LAYOUTS.get(infos[0].layout, "kohya")
    same = program is None and not apart and len({info.layout for info in infos}) == 1
    files = _opened(asked, whose, [info.layout for info in infos], as_stored=same, without_text=without_text)
    if same and not _agree(files):
        same, files = False, _opened(
            asked, whose, [info.layout for info in infos], as_stored=False, without_text=without_text
        )  # fmt: skip
    found = Sources(tuple(files), whose, same, program or own)
    if not found.places():
        raise UserError(_("no layer is left."), place=plain(str(asked[0].path)), code="lora.empty")
    return found


def _opened(
    asked: Sequence[Ingredient], family: str, layouts: Sequence[str], *, as_stored: bool, without_text: bool
) -> list[Source]:
    found = []
    for one, layout in zip(asked, layouts, strict=True):
        adapter = open_adapter(one.path, family=family, as_stored=as_stored)
        if not as_stored:
            adapter = adapter.only(set(adapter.layers).difference(_silent(adapter)).__contains__)
        if without_text:
            adapter = adapter.only(lambda place: not is_text(place))
        if one.blocks:
            weights = block_weights(one.blocks, family)
            slots = slots_by_name(family, adapter.names.values())
            weights.check(slots.values())
            factors = {place: weights.of_slot(slots[name]) for place, name in adapter.names.items()}
        else:
            factors = {}
        found.append(Source(one, adapter, layout, _strengths(one, factors)))
    return found


def _silent(adapter: Adapter) -> set[Place]:
    """Layers for which a file that holds several in one has nothing but zeros, beside others for which it has more.

    Whoever put them into one had no such layer; a file without any, which has learned nothing yet, keeps all.
    """
    if adapter.family not in ORIGINALS:
        return set()
    names = {kind_and_layer(name)[1] for name in read_header(adapter.path).tensors}
    groups: dict[str, dict[Place, bool]] = {}
    for place, layer in adapter.layers.items():
        if place[0] == "transformer" and adapter.names[place] not in names and isinstance(layer, LoraLayer):
            with suppress(KeyError):
                whole, _number = ORIGINALS[adapter.family].original_of(place[1])
                groups.setdefault(whole, {})[place] = bool(layer.up.any())
    return {
        place for group in groups.values() if any(group.values()) for place, speaks in group.items() if not speaks
    }  # fmt: skip


def _strengths(asked: Ingredient, factors: Mapping[Place, float]) -> Callable[[Place], float]:
    def strength(place: Place) -> float:
        return asked.of("text_encoder" if is_text(place) else "") * factors.get(place, 1.0)

    return strength


def is_text(place: Place) -> bool:
    """Whether a layer is one of a text encoder, also where it is known by a file's name alone."""
    part, path = place
    return (path if part == UNKNOWN else part).startswith(_TEXT)


def _agree(files: Sequence[Source]) -> bool:
    """Whether the files call each layer that several of them have by the same name, and hold the same ones in one."""
    names: dict[Place, str] = {}
    for one in files:
        for place, name in one.adapter.names.items():
            if names.setdefault(place, name) != name:
                return False
    if len(files) == 1:
        return True
    single = any(place[0] != UNKNOWN and not is_text(place) for one in files for place in one.adapter.layers)
    return not (
        single and any(place[0] == UNKNOWN and _fused(place[1]) for one in files for place in one.adapter.layers)
    )


def _fused(name: str) -> bool:
    return any(word in name for word in ("qkv", "linear1"))


def names_as_read(sources: Sources) -> AsRead:
    """How the first file calls its tensors; an alpha stands beside them where any of its layers has one."""
    suffixes: Counter[tuple[str, str]] = Counter()
    alpha = False
    for name in read_header(sources.files[0].path).tensors:
        kind, stem = kind_and_layer(name)
        if kind in _KINDS:
            suffixes[kind, name[len(stem) + 1 :]] += 1
        alpha |= kind == "alpha"
    found = {}
    for kind, own in _KINDS.items():
        told = [(count, suffix) for (whose, suffix), count in suffixes.items() if whose == kind]
        found[own] = max(told)[1] if told else own
    if not any(kind == "row_sizes" for kind, _suffix in suffixes):
        found[ROW_SIZES] = SIZES
    return AsRead(found, alpha or not suffixes)


@dataclass(frozen=True)
class Combined:
    """What files come to: layers by the names of the file that is made, what its tensors are called, and the layers
    that the layout has no names for, which were left out."""

    layers: dict[str, Made]
    names: Names
    left_out: list[str]


def combined(
    sources: Sources,
    *,
    leave_out: bool = False,
    weight: Weights | None = None,
    plainly: bool = False,
    made_of: Callable[[Place], Made | None] | None = None,
) -> Combined:
    """The sum of all files.

    Args:
        leave_out: leave out layers that have no name in the layout, instead of refusing them.
        weight: gives the base model's weight of a layer, for those that are no sums without it.
        plainly: give every layer as matrices, not as a kind of its own.
        made_of: what stands in for the sum at a place.

    Raises:
        UserError: layers are no sums or of different sizes, or have no name in the layout.
    """
    made: dict[Place, Made] = {}
    left_out: list[str] = []
    for place in sources.places():
        if not sources.as_read and place[0] == UNKNOWN and leave_out:
            left_out.append(place[1])
            continue
        try:
            if made_of is not None:
                one = made_of(place)
            else:
                own = None if weight is None else partial(weight, place)
                one = summed(sources.parts_at(place), sources.shape(place), own, plainly=plainly)
        except Mixed as error:
            raise mixed(str(error), place, sources) from None
        if one is not None:
            made[place] = one
    if not sources.as_read:
        how = naming(sources.program, sources.family)
        return Combined(arranged(made, how), how, left_out)
    names = {place: name for one in reversed(sources.files) for place, name in one.adapter.names.items()}
    return Combined({names[place]: one for place, one in made.items()}, names_as_read(sources), left_out)


def mixed(what: str, place: Place, sources: Sources) -> UserError:
    """For a layer whose parts cannot be added up."""
    name = next(one.adapter.names[place] for one in sources.files if place in one.adapter.names)
    if what.startswith("["):
        return UserError(
            _("the files have the layer {name} with different sizes: {sizes}.").format(
                name=plain(name, limit=120), sizes=what
            ),
            place=plain(str(sources.files[0].path)),
            remedy=_("They are for different models; merge files of one base model."),
            code="lora.sizes",
        )
    return UserError(
        _("its layer {name} is {kind}: what it adds depends on the base model, and is no sum.").format(
            name=plain(name, limit=120), kind=what
        ),
        place=plain(str(sources.files[0].path)),
        remedy=_("Bake it into a checkpoint, or give that with --base so that it becomes a plain LoRA first."),
        code="lora.not_a_sum",
    )
