"""The choices of a preparation while a person makes them: what each row says, what an edit does. Knows no widget.

Every edit gives choices that hold together: what does not is refused with the reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

from lora_tui.dataset.prepare.options import FAMILY_SIZES, Options, checked, options_from
from lora_tui.dataset.prepare.parts import check_parts
from lora_tui.dataset.prepare.places import suggested
from lora_tui.dataset.prepare.plan import Plan
from lora_tui.dataset.prepare.remembered import Choices
from lora_tui.dataset.scan import DatasetImage
from lora_tui.errors import UserError
from lora_tui.text import _, count, ngettext, plain
from lora_tui.tui.cells import Cell
from lora_tui.tui.prepare_settings import OTHER, SETTINGS, Setting

MOST_WORKERS = 64
_LONG = 2.0
_DEFAULTS = Options()
_FAMILY_NAMES = {
    "sd15": "SD1.5", "sd2": "SD2", "sdxl": "SDXL", "sd3": "SD3", "sd35": "SD3.5", "flux": "FLUX", "flux2": "FLUX.2",
    "chroma": "Chroma", "zimage": "Z-Image", "qwen": "Qwen-Image",
}  # fmt: skip


@dataclass(frozen=True)
class Known:
    """What is known of the images and the project, for the remarks beside the choices; images as counts.

    Attributes:
        resolution: that the parameters train at, px; 0 when not known.
        family: of the parameters' base model.
        notes: how many images of the plan have each note.
    """

    images: int = 0
    crops: int = 0
    transparent: int = 0
    long: int = 0
    resolution: int = 0
    family: str = ""
    notes: Mapping[str, int] = field(default_factory=dict)

    def of_images(self, images: Iterable[DatasetImage]) -> Known:
        """With what the headers of images say."""
        total = crops = transparent = long = 0
        for image in images:
            total += 1
            crops += image.crop is not None
            transparent += image.facts.alpha
            sides = sorted((image.facts.width, image.facts.height))
            long += sides[1] >= _LONG * sides[0]
        return replace(self, images=total, crops=crops, transparent=transparent, long=long)

    def of_plan(self, plan: Plan) -> Known:
        """With what a plan says of its images."""
        return replace(self, notes=Counter(note for item in plan.items for note in item.notes))


def usual_size(family: str, resolution: int) -> int:
    """The size to begin with: what the parameters train at, else that of the family, px."""
    return resolution or FAMILY_SIZES.get(family, _DEFAULTS.size)


class PrepareForm:
    """Choices being made.

    Attributes:
        choices: as they are now; without a destination the suggested one is meant.
        known: see :class:`Known`.
        place: the destination, as it was suggested last or chosen.
    """

    def __init__(self, choices: Choices, sources: Sequence[Path], known: Known) -> None:
        self.choices = choices
        self.sources = tuple(sources)
        self.known = known
        self.place: Path | None = choices.destination
        self._past: list[Choices] = []

    @property
    def options(self) -> Options:
        """How the images are made."""
        return self.choices.options

    @property
    def source(self) -> Path:
        """The folder that is read."""
        return self.choices.source or self.sources[0]

    def find_place(self) -> Path:
        """The destination; looks at the disk."""
        return self.choices.destination or suggested(self.source, self.options)

    def rows(self) -> tuple[Setting, ...]:
        """The settings that have an effect."""
        return tuple(setting for setting in SETTINGS if setting.applies(self.options))

    # -- what a row says

    def text(self, setting: Setting) -> str:
        """A value as text: what :meth:`set` takes."""
        key, options = setting.key, self.options
        if key == "source":
            return str(self.source)
        if key == "destination":
            return str(self.choices.destination or "")
        if key == "workers":
            return str(self.choices.workers)
        if key == "fit":
            return "pad" if options.fit == "pad" else options.at
        value = getattr(options, key)
        if isinstance(value, bool):
            return "true" if value else "false"
        return f"{value:g}" if isinstance(value, float) else str(value)

    def value(self, setting: Setting) -> Cell:
        """A value as it is shown."""
        text = self.text(setting)
        tone = "" if self.is_usual(setting) else "strong"
        if setting.key == "source":
            return Cell(plain(self.source.name or str(self.source)), "strong")
        if setting.key == "destination":
            return Cell(plain(self.place.name) if self.place is not None else "", "strong")
        if setting.kind == "switch":
            return Cell(_("on") if text == "true" else _("off"), tone)
        for pick in setting.picks:
            if pick.value == text and pick.value != OTHER:
                return Cell(_(pick.label), tone)
        if not text or (text == "0" and setting.key in ("repeats", "bucket_min", "bucket_max")):
            return Cell(_("none") if setting.kind in ("file", "folder") else _("by itself"), "muted")
        if setting.key == "size":
            text = _("{size} px").format(size=text)
        if setting.key == "split":
            text = _("split from {ratio}:1 on").format(ratio=text)
        return Cell(plain(text, limit=200), tone)

    def is_usual(self, setting: Setting) -> bool:
        """Whether a setting has its default."""
        known = {one.name for one in fields(Options)}
        if setting.key == "fit":
            return (self.options.fit, self.options.at) == (_DEFAULTS.fit, _DEFAULTS.at)
        return setting.key not in known or getattr(self.options, setting.key) == getattr(_DEFAULTS, setting.key)

    def note(self, setting: Setting) -> Cell:
        """What is worth knowing beside a value."""
        known, options = self.known, self.options
        small = known.notes.get("small", 0) + known.notes.get("enlarged", 0)
        concerned = {
            "source": known.images,
            "crops": known.crops,
            "background": known.transparent,
            "split": known.long,
            "small": 0 if options.small == "leave-out" else small,
        }
        if setting.key == "size":
            return self._size_note()
        if setting.key == "destination" and self.place is not None:
            return Cell(_("in {folder}").format(folder=plain(str(self.place.parent))), "muted")
        if number := concerned.get(setting.key, 0):
            return Cell(ngettext("{count} image", "{count} images", number).format(count=count(number)), "muted")
        return Cell("")

    def _size_note(self) -> Cell:
        size, known = self.options.size, self.known
        if known.resolution and known.resolution != size:
            return Cell(_("trains at {size} px").format(size=known.resolution), "warning")
        names = [name for family, name in _FAMILY_NAMES.items() if FAMILY_SIZES[family] == size]
        return Cell(", ".join(names), "muted")

    # -- edits

    def set(self, key: str, text: str) -> bool:
        """Take a value; false when nothing changed.

        Raises:
            UserError: it is not allowed; nothing has changed then.
        """
        changed = self._with(key, text)
        if changed == self.choices:
            return False
        self._past.append(self.choices)
        self.choices = changed
        if key in ("source", "destination"):
            self.place = changed.destination
        return True

    def turn(self, setting: Setting, by: int) -> bool:
        """The next or the previous of a few choices; false where there are none.

        Raises:
            UserError: a part that the choice needs is missing.
        """
        if setting.kind == "switch":
            return self.set(setting.key, "false" if self.text(setting) == "true" else "true")
        values = [pick.value for pick in setting.picks if pick.value != OTHER]
        if not values:
            return False
        here = values.index(self.text(setting)) if self.text(setting) in values else -1
        return self.set(setting.key, values[(here + by) % len(values)])

    def undo(self) -> bool:
        """Take the last change back; false when there was none."""
        if not self._past:
            return False
        self.choices = self._past.pop()
        self.place = self.choices.destination
        return True

    @property
    def can_undo(self) -> bool:
        """Whether there is a change to take back."""
        return bool(self._past)

    def complaint(self, key: str, text: str) -> str:
        """Why a value is not allowed, with what to do; empty when it is."""
        try:
            self._with(key, text)
        except UserError as error:
            return " ".join(part for part in (error.message, error.remedy) if part)
        return ""

    def _with(self, key: str, text: str) -> Choices:
        choices, text = self.choices, text.strip()
        if key == "source":
            return replace(choices, source=Path(text), destination=None)
        if key == "destination":
            return replace(choices, destination=Path(text) if text else None)
        if key == "workers":
            workers = _number(key, text, int)
            if not 1 <= workers <= MOST_WORKERS:
                raise UserError(_("From {low} to {high}.").format(low=1, high=MOST_WORKERS), code="prepare.option")
            return replace(choices, workers=int(workers))
        options = checked(_option(choices.options, key, text))
        if key in ("remove_background", "faces"):
            check_parts(options)
        return replace(choices, options=options)


def _option(options: Options, key: str, text: str) -> Options:
    if key == "fit":
        return replace(options, fit="pad") if text == "pad" else replace(options, fit="crop", at=text)
    default = getattr(_DEFAULTS, key)
    value: object = text
    if isinstance(default, bool):
        value = text == "true"
    elif isinstance(default, int | float):
        value = _number(key, text, type(default))
    return options_from({**options.as_dict(), key: value})


def _number(key: str, text: str, kind: type) -> float:
    try:
        found: float = kind(text)
    except ValueError:
        raise UserError(_("Type a number."), place=key, code="prepare.option") from None
    return found
