"""How strongly each block of a model takes a LoRA: slots, the notations that list them, presets. Knows no torch.

One place for everyone who weighs by block: a layer's place -> its slot -> its weight. The notations of 12, 17, 20, 26
and 61 numbers and the presets are those of the block-weight extension of A1111 (github.com/hako-mikan/
sd-webui-lora-block-weight); a notation that leaves out a slot gives it 0, as there. Other transformers have no notation
of anybody's; theirs here is one number for the text encoders (``BASE``), the layers before the blocks (``IN``), each
block, and the layers behind them (``OUT``). Slots can also be named: ``IN04-M00=0.5,OUT05=0``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from lora_tui.errors import UserError
from lora_tui.files import open_file
from lora_tui.text import _, plain
from lora_tui.weights.names.originals import ORIGINALS
from lora_tui.weights.places import UNKNOWN, Place, places_by_name

BASE, IN, OUT, MIDDLE = "BASE", "IN", "OUT", "M00"
CLIP, T5 = "CLIP", "T5"
UNETS = ("sd15", "sd2", "sdxl")
_ALIASES = {"MID": MIDDLE, "MIDD": MIDDLE}
_MOST_CHARACTERS = 20_000
"""Of block weights as a text, and of a line of presets."""
_PRESETS_FILE = 1 << 20


def _numbered(letters: str, *numbers: int) -> tuple[str, ...]:
    return tuple(f"{letters}{number:02}" for number in numbers)


_17 = (BASE, *_numbered(IN, 1, 2, 4, 5, 7, 8), MIDDLE, *_numbered(OUT, *range(3, 12)))
_26 = (BASE, *_numbered(IN, *range(12)), MIDDLE, *_numbered(OUT, *range(12)))
_12 = (BASE, *_numbered(IN, 4, 5, 7, 8), MIDDLE, *_numbered(OUT, *range(6)))
_20 = (BASE, *_numbered(IN, *range(9)), MIDDLE, *_numbered(OUT, *range(9)))


def _double_single(double: int, single: int, *first: str) -> tuple[str, ...]:
    return (*first, IN, *_numbered("D", *range(double)), *_numbered("S", *range(single)), OUT)


def _joint(letter: str, blocks: int) -> tuple[str, ...]:
    return (BASE, IN, *_numbered(letter, *range(blocks)), OUT)


_61 = _double_single(19, 38, CLIP, T5)
#: family -> its notations, the fullest first; each is told by its length.
NOTATIONS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "sd15": (_26, _17),
    "sd2": (_26, _17),
    "sdxl": (_20, _12, _26),
    "flux": (_61,),
    "chroma": (_61,),
    "flux2": tuple(_double_single(*counts, BASE) for counts in ((5, 20), (8, 24), (8, 48))),
    "sd3": (_joint("J", 24), _joint("J", 38)),
    "qwen": (_joint("B", 60),),
    "zimage": ((BASE, IN, *_numbered("N", 0, 1), *_numbered("C", 0, 1), *_numbered("L", *range(30)), OUT),),
}
#: Lists of blocks of diffusers' transformers -> the letter of their slots, by family where one differs.
_LISTS = {
    "transformer_blocks": "D",
    "single_transformer_blocks": "S",
    "noise_refiner": "N",
    "context_refiner": "C",
    "layers": "L",
}
_LETTERS = {"sd3": "J", "qwen": "B"}
#: Layers of diffusers' transformers behind the blocks; what is outside the blocks and none of these is before them.
_LAST = ("proj_out", "norm_out", "all_final_layer", "final_layer")

_PRESETS: Mapping[str, tuple[float, ...]] = {
    "INS": (1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
    "IND": (1, 0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
    "INALL": (1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
    "MIDD": (1, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0),
    "OUTD": (1, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 0),
    "OUTS": (1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1),
    "OUTALL": (1, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1),
}
_EVEN = {"NONE": 0.0, "ALL": 1.0, "ALL0.5": 0.5, "FLUXALL": 1.0}
PRESETS = ("NONE", "ALL", *_PRESETS, "ALL0.5", "FLUXALL")
"""The extension's. Those between ALL and ALL0.5 are of 17 numbers, for SD1.5 and SD2."""

_DOWN = re.compile(r"(down|up)_blocks\.(\d+)\.(resnets|attentions|downsamplers|upsamplers)\.(\d+)\.")


@dataclass(frozen=True)
class BlockWeights:
    """Weights by slot.

    Attributes:
        values: those of slots that were named.
        rest: of all other slots.
        text: as a person wrote them.
        listed: the slots of the notation whose numbers were given; empty where slots were named.
    """

    family: str
    values: Mapping[str, float] = field(default_factory=dict)
    rest: float = 1.0
    text: str = ""
    listed: tuple[str, ...] = ()

    def check(self, slots: Iterable[str]) -> None:
        """Refuse a list of numbers for a model with fewer blocks than the one with these ``slots``.

        Of a UNet's notations the short ones are meant to leave out blocks.

        Raises:
            UserError: ``lora.blocks``.
        """
        beyond = [slot for slot in in_order(slots) if slot and self.listed and slot not in self.listed]
        if beyond and self.family not in UNETS:
            raise _wrong(
                _("the list has {count} numbers and none for block {name}, which is there.").format(
                    count=len(self.listed), name=beyond[0]
                )
            )

    def of(self, place: Place) -> float:
        """What the layer at ``place`` is multiplied by; 1 for one that is in no slot."""
        return self.of_slot(slot_of(self.family, place))

    def of_slot(self, slot: str) -> float:
        """The weight of a slot; 1 for no slot."""
        return self.values.get(slot, self.rest) if slot else 1.0

    @property
    def even(self) -> bool:
        """Whether every slot has the weight 1."""
        return self.rest == 1.0 and all(value == 1.0 for value in self.values.values())


def slot_of(family: str, place: Place) -> str:
    """The slot of the layer at ``place``, (part, dotted path) in diffusers' names; empty where it is in none.

    Layers without a slot: a UNet's embedding of time and its last convolution, as in the extension.
    """
    part, path = place
    if part.startswith("text_encoder"):
        return ({"text_encoder": CLIP, "text_encoder_2": T5}.get(part, "")) if family in ("flux", "chroma") else BASE
    if part == "unet":
        return _unet_slot(path)
    return _transformer_slot(family, path) if part == "transformer" else ""


def slots_by_name(family: str, names: Iterable[str]) -> dict[str, str]:
    """The slot of each layer by the name that a LoRA file has for it, in any layout; empty where it is in none."""
    found = {}
    for name, place in places_by_name(family, names).items():
        if place[0] == UNKNOWN and family in ORIGINALS:
            place = _within(family, name) or place
        found[name] = slot_of(family, place)
    return found


def _within(family: str, name: str) -> Place | None:
    """A layer of diffusers in the original layer that a file calls ``name``: all of them stand in one block."""
    try:
        path = ORIGINALS[family].named(name)
        return ("transformer", ORIGINALS[family].layer_of(path)[0].path) if path else None
    except KeyError:
        return None


def _unet_slot(path: str) -> str:
    if found := _DOWN.match(f"{path}."):
        direction, block, kind, index = found.groups()
        b, i = int(block), int(index)
        if direction == "down":
            return f"{IN}{3 * b + 3 if kind == 'downsamplers' else 3 * b + i + 1:02}"
        return f"{OUT}{3 * b + (2 if kind == 'upsamplers' else i):02}"
    if path.startswith("mid_block."):
        return MIDDLE
    return f"{IN}00" if path == "conv_in" else ""


def _transformer_slot(family: str, path: str) -> str:
    head, _dot, rest = path.partition(".")
    number = rest.partition(".")[0]
    if head in _LISTS and number.isdecimal():
        letter = _LETTERS.get(family, "D") if head == "transformer_blocks" else _LISTS[head]
        return f"{letter}{int(number):02}"
    return OUT if path.startswith(_LAST) else IN


def in_order(slots: Iterable[str]) -> list[str]:
    """Slots as the image walks through them; no slot comes last."""
    heads = {
        head: number for number, head in enumerate((BASE, CLIP, T5, IN, "N", "C", "L", "D", "J", "B", "S", "M", OUT))
    }

    def place(slot: str) -> tuple[int, int]:
        head = slot.rstrip("0123456789") if slot != T5 else T5
        return heads.get(head, len(heads)), int(slot.removeprefix(head) or -1)

    return sorted(set(slots), key=place)


def block_weights(text: str, family: str, presets: Mapping[str, str] | None = None) -> BlockWeights:
    """What a person wrote: a preset's name, as many numbers as a notation has slots, or slots with their weights.

    Args:
        presets: further ones by name, each as such a text; they go before those of the extension.

    Raises:
        UserError: ``lora.blocks``: nothing of that, or not for this family.
    """
    if len(text) > _MOST_CHARACTERS:
        raise _wrong(_("block weights of {count} characters are none.").format(count=len(text)))
    if family not in NOTATIONS:
        raise _wrong(_("the blocks of a file of an unknown family have no names."))
    own = dict(presets or {})
    asked = text.strip()
    found = _values(own.get(asked, asked), family)
    return replace(found, text=asked)


def _values(text: str, family: str) -> BlockWeights:
    if text in _EVEN:
        if text == "FLUXALL" and family not in ("flux", "chroma"):
            raise _wrong(_("FLUXALL is a preset for FLUX.1."))
        return BlockWeights(family, rest=_EVEN[text])
    numbers = [*_PRESETS[text]] if text in _PRESETS else _numbers(text)
    if numbers is None:
        return _named(text, family)
    lengths = [len(slots) for slots in NOTATIONS[family]]
    if len(numbers) not in lengths:
        raise _wrong(
            _("{text} has {count} numbers; this family takes {lengths}.").format(
                text=plain(text, limit=60), count=len(numbers), lengths=", ".join(map(str, lengths))
            )
        )
    slots = NOTATIONS[family][lengths.index(len(numbers))]
    return BlockWeights(family, dict(zip(slots, numbers, strict=True)), rest=0.0, listed=slots)


def _numbers(text: str) -> list[float] | None:
    """The numbers of a list; none where it is no list of numbers."""
    if "=" in text or not re.match(r"\s*[-+.\d]", text):
        return None
    return [_number(word) for word in text.split(",")]


def _number(word: str) -> float:
    try:
        value = float(word)
    except ValueError:
        raise _wrong(_("{word} is no number.").format(word=plain(word.strip(), limit=40) or "''")) from None
    if not math.isfinite(value) or abs(value) > 1000:
        raise _wrong(_("{word} is no weight of a block.").format(word=plain(word.strip(), limit=40)))
    return value


def _named(text: str, family: str) -> BlockWeights:
    """``IN04-M00=0.5,OUT05=0``, and ``default=0`` for all others; what stands later goes before."""
    order = in_order(slot for slots in NOTATIONS[family] for slot in slots)
    values: dict[str, float] = {}
    rest = 1.0
    for word in text.split(","):
        name, equals, value = word.partition("=")
        name = name.strip()
        if not equals:
            raise _wrong(
                _("{word} is no preset, and no slot with a weight.").format(word=plain(word.strip(), limit=60) or "''")
            )
        if name.lower() == "default":
            rest = _number(value)
            continue
        ends = [_slot(end.strip().upper(), order) for end in name.split("-", 1)]
        first, last = sorted((order.index(ends[0]), order.index(ends[-1])))
        values |= dict.fromkeys(order[first : last + 1], _number(value))
    return BlockWeights(family, values, rest)


def _slot(name: str, order: list[str]) -> str:
    found = _ALIASES.get(name, name)
    if found not in order:
        raise UserError(
            _("there is no block {name} in this family.").format(name=plain(name, limit=40) or "''"),
            place=_("block weights"),
            remedy=_("Its blocks: {names}.").format(names=shortened(order)),
            code="lora.blocks",
        )
    return found


def shortened(slots: Iterable[str]) -> str:
    """Slots as a person lists them: ``BASE, IN00-IN11, M00``."""
    runs: list[list[str]] = []
    for slot in slots:
        if runs and slot not in (T5, BASE) and slot == _next(runs[-1][-1]):
            runs[-1].append(slot)
        else:
            runs.append([slot])
    return ", ".join(run[0] if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def _next(slot: str) -> str:
    head = slot.rstrip("0123456789")
    return f"{head}{int(slot.removeprefix(head)) + 1:02}" if slot != head else ""


def _wrong(message: str) -> UserError:
    return UserError(
        message,
        place=_("block weights"),
        remedy=_("Give a preset, a list of numbers, or slots: IN04-M00=0.5,OUT05=0,default=1."),
        code="lora.blocks",
    )


def read_presets(path: Path) -> dict[str, str]:
    """Presets of a file with a line ``NAME:1,0,0.5,…`` for each, as the extension's ``lbwpresets.txt``.

    Empty lines, and those with a ``#`` in front, are no presets.

    Raises:
        UserError: it cannot be read, or a line is none (``lora.blocks``).
    """
    try:
        with open_file(path) as file:
            text = file.read(_PRESETS_FILE).decode("utf-8-sig")
    except (OSError, ValueError) as error:
        raise UserError(
            _("the presets cannot be read: {reason}.").format(
                reason=plain(getattr(error, "strerror", "") or str(error), limit=200)
            ),
            place=plain(str(path)),
            remedy=_("Give a text file with lines such as NAME:1,0,0.5,…"),
            code="lora.blocks",
        ) from None
    found = {}
    for number, line in enumerate(text.splitlines(), start=1):
        name, colon, values = line.partition(":")
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if not colon or not name.strip() or not values.strip():
            raise UserError(
                _("it is no preset."),
                place=f"{plain(str(path))}:{number}",
                remedy=_("Write NAME:1,0,0.5,… or put a # in front."),
                code="lora.blocks",
            )
        found[name.strip()] = values.strip()
    return found
