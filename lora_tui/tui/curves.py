"""From the story of a run to what a chart shows: curves, marks, the range of steps. Knows no widget."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from lora_tui.drawing.chart import Curve, Marker, RailMark
from lora_tui.runs.machine_series import BARE, CARD, MachineStory, kinds_in
from lora_tui.runs.series import Series
from lora_tui.runs.story import RunStory
from lora_tui.text import N_, _
from lora_tui.tui.marks import Marks
from lora_tui.tui.widgets.chart import Picture, window

SMOOTHING = (0.0, 0.9, 0.99, 0.999)
"""Shares of the past in each smoothed value; the first is no smoothing."""

ZOOMS = 8
"""Each level halves the range of steps; the eighth shows 1/128 of the run."""

RECENT = 64
"""Entries of a series from which the usual step is told."""

POINTS = 16
"""Validations up to this many are points of their own; more become a line."""

METRICS: tuple[tuple[str, str], ...] = (
    ("loss", N_("LOSS")),
    ("lr.unet", N_("LEARNING RATE")),
    ("grad_norm", N_("GRADIENT NORM")),
    ("step_seconds", N_("SECONDS PER STEP")),
    ("memory_allocated", N_("MEMORY, GB")),
    ("data_wait", N_("DATA WAIT, SECONDS")),
    ("levels", N_("LOSS BY NOISE")),
    ("weights", N_("NORM OF THE WEIGHTS")),
    ("d", N_("STEP SIZE D")),
    ("gpu.use", N_("GPU USE, %")),
    ("gpu.memory", N_("GPU MEMORY, GB")),
    ("gpu.heat", N_("GPU TEMPERATURE, C")),
    ("gpu.power", N_("GPU POWER, W")),
    ("cpu", N_("CPU USE, %")),
    ("ram", N_("RAM OF THE MACHINE, GB")),
)
"""The curves that can be looked at, and what they are called; those of :func:`several` are more than one series."""

MOST_OTHERS = 4
"""Other runs that can lie over a run's curves at once: more lines say nothing."""

LEVEL_ROLES = ("level0", "level1", "level2", "level3")
OTHER_ROLES = ("run0", "run1", "run2", "run3")
PART_ROLES = ("smooth", "other", *OTHER_ROLES)
"""Roles of lines: of ranges of noise, of other runs, of the parts of a metric that has several."""

SCALES = {"memory_allocated": 1e-9, "gpu.memory": 1e-9, "ram": 1e-9}
"""What values of a series are multiplied with to have the unit of their title."""


@dataclass(frozen=True)
class Look:
    """How the person looks at the curves.

    Attributes:
        metric: number in :data:`METRICS`.
        zoom: level, 0 shows the whole run.
        log: whether the y axis is logarithmic.
        smoothing: number in :data:`SMOOTHING`.
        at: the step that is looked at; none follows the newest.
        pan: the first step in view, where somebody moved the view; none keeps the newest or ``at`` in it.
    """

    metric: int = 0
    zoom: int = 0
    log: bool = False
    smoothing: int = 2
    at: float | None = None
    pan: float | None = None

    @property
    def name(self) -> str:
        """The name of the series."""
        return METRICS[self.metric][0]

    @property
    def title(self) -> str:
        """What the curve is called."""
        return _(METRICS[self.metric][1])

    @property
    def weight(self) -> float:
        """The share of the past in each smoothed value."""
        return SMOOTHING[self.smoothing]


@dataclass(frozen=True)
class Other:
    """Another run whose curves lie over those of the one that is watched: what it is called, and its story."""

    name: str
    story: RunStory


class Curves:
    """Makes pictures of a story; smoothed values are kept until the series changes.

    Attributes:
        machine: what the machine did; read only while somebody looks at it, see :meth:`read_on`.
        others: runs that lie over it, at most :data:`MOST_OTHERS`.
    """

    def __init__(self, story: RunStory, others: Sequence[Other] = ()) -> None:
        self.story = story
        self.machine = MachineStory(story.run)
        self.others: tuple[Other, ...] = tuple(others)
        self._smoothed: dict[str, tuple[int, float, array[float]]] = {}

    def picture(self, look: Look, marks: Marks, *, empty: str = "") -> Picture:
        """What the main chart shows."""
        series = self.series(look.name)
        left, right = self.view(look)
        curves: list[Curve] = [*self._under(look)]
        if series is not None and len(series):
            scale = SCALES.get(look.name, 1.0)
            smooth = look.name == "loss" and look.weight > 0
            curves.append(curve_of(series, "raw" if smooth else "smooth", robust=look.name != "lr.unet", scale=scale))
            if smooth:
                curves.append(self._smooth_curve(look.name, series, look.weight))
        if look.name == "loss" and self._many_validations:
            curves.append(curve_of(self.story.series["validation"], "validation"))
        text = self.story.series.get("lr.text_encoder")
        if look.name == "lr.unet" and text is not None and len(text):
            curves.append(curve_of(text, "other"))
        return Picture(
            tuple(curves),
            self._validation(marks) if look.name == "loss" else (),
            self._rail(marks),
            left,
            right,
            log=look.log,
            cursor=look.at,
            empty=empty,
        )

    def view(self, look: Look) -> tuple[float, float]:
        """The first and the last step in view."""
        first, last = self.range()
        if look.pan is None:
            return window(first, last, look.zoom, look.at)
        left, right = window(first, last, look.zoom, None)
        width = right - left
        left = min(max(look.pan, first), max(last - width, first))
        return left, left + width

    def metrics(self) -> list[int]:
        """Numbers of the :data:`METRICS` that this run has values of; the loss is always one."""
        machine = kinds_in(self.story.resources)
        return [
            number
            for number, (name, _title) in enumerate(METRICS)
            if number == 0 or name in machine or self.names_of(name)
        ]

    def complete(self, look: Look) -> bool:
        """Whether all that is looked at has been read."""
        return self.machine.complete if of_machine(look.name) else self.story.complete

    def read_on(self, look: Look, budget_seconds: float) -> bool:
        """Read on what the machine did, where somebody looks at it; whether anything was read."""
        return of_machine(look.name) and self.machine.update(budget_seconds)

    def series(self, name: str) -> Series | None:
        """A series by its name; none where nothing of it was measured."""
        return self.story.series.get(name) or self.machine.series.get(name)

    def names_of(self, metric: str) -> list[str]:
        """The series that a metric consists of and that have values, in the order in which they are told."""
        if metric == "levels":
            found = [f"level.{number}" for number in range(len(LEVEL_ROLES))]
        elif metric == "weights":
            weights = (name for name in self.story.series if name.startswith("weights."))
            found = sorted(weights, key=lambda name: name != "weights.unet")
        elif metric in CARD:
            found = sorted((name for name in self.machine.series if name.startswith(f"{metric}.")), key=card_of)
        else:
            found = [metric]
        return [name for name in found if self.series(name)]

    def _under(self, look: Look) -> list[Curve]:
        """The curves below the main one: those of other runs, and the parts of a metric that has several."""
        curves: list[Curve] = []
        for role, other in zip(OTHER_ROLES, self.others, strict=False):
            series = other.story.series.get(look.name)
            if series is not None and len(series):
                smooth = look.name == "loss" and look.weight > 0
                curves.append(
                    self._smooth_curve(look.name, series, look.weight, role, key=other.name)
                    if smooth
                    else curve_of(series, role, robust=True, scale=SCALES.get(look.name, 1.0))
                )
        if several(look.name):
            for role, name in self.parts_of(look.name):
                series = self.series(name) or Series()
                smooth = look.name == "levels" and look.weight > 0
                weight = look.weight**8  # a value of these stands for at least 8 steps
                curves.append(
                    self._smooth_curve(name, series, weight, role)
                    if smooth
                    else curve_of(series, role, robust=True, scale=SCALES.get(look.name, 1.0))
                )
        return curves

    def parts_of(self, metric: str) -> list[tuple[str, str]]:
        """The series of a metric that has several, each behind the role that its line is drawn in."""
        names = self.names_of(metric)
        if metric == "levels":  # a level keeps its colour where others are missing
            return [(LEVEL_ROLES[int(name[-1])], name) for name in names]
        return list(zip(PART_ROLES, names, strict=False))

    def small(self, name: str, look: Look) -> Picture:
        """What one of the charts beside the main one shows, over the same steps and with the same cursor."""
        series = self.story.series.get(name)
        left, right = self.view(look)
        curves = [curve_of(series, "smooth", robust=True, scale=SCALES.get(name, 1.0))] if series else []
        text = self.story.series.get("lr.text_encoder")
        if name == "lr.unet" and text is not None and len(text):
            curves.append(curve_of(text, "other"))
        return Picture(tuple(curves), (), (), left, right, cursor=look.at)

    def range(self) -> tuple[float, float]:
        """The first and the newest step that anything is known of."""
        return 0.0, float(max(self.story.step, 1, *(other.story.step for other in self.others)))

    def smoothed_at(self, name: str, weight: float, step: float) -> float | None:
        """The smoothed value at a step, or the newest one at or before it."""
        series = self.story.series.get(name)
        if series is None or not len(series):
            return None
        return at_step(series.steps, self._smooth(name, series, weight), step)

    def images_per_step(self) -> int:
        """Images in a usual step, told by its time and by how many went through in a second; 0 where nothing tells.

        The last batch of an epoch may be a smaller one: what most of the last steps had counts.
        """
        speed = self.story.series.get("images_per_second")
        if speed is None or not len(speed):
            return 0
        found: Counter[int] = Counter()
        for step, images in list(zip(speed.last_steps, speed.last, strict=True))[-RECENT:]:
            seconds = self.value_at("step_seconds", step)
            count = images * seconds if seconds is not None else math.nan
            if math.isfinite(count) and 0 < count < 1e6:
                found[round(count)] += 1
        return found.most_common(1)[0][0] if found else 0

    def value_at(self, name: str, step: float) -> float | None:
        """The value at a step, or the newest one at or before it."""
        series = self.series(name)
        return at_step(series.steps, series.last, step) if series is not None and len(series) else None

    def value_of(self, other: Other, look: Look, step: float) -> float | None:
        """The value of another run at a step, smoothed as that of this one is."""
        series = other.story.series.get(look.name)
        if series is None or not len(series):
            return None
        smooth = look.name == "loss" and look.weight > 0
        values = self._smooth(look.name, series, look.weight, other.name) if smooth else series.last
        return at_step(series.steps, values, step)

    def best(self, name: str) -> tuple[int, float] | None:
        """The step with the lowest value of a series, and the value."""
        series = self.story.series.get(name)
        if series is None:
            return None
        known = [(low, step) for low, step in zip(series.low, series.last_steps, strict=True) if math.isfinite(low)]
        if not known:
            return None
        low, step = min(known)
        return step, low

    def _smooth(self, name: str, series: Series, weight: float, key: str = "") -> array[float]:
        kept = self._smoothed.get(f"{name} {key}")
        if kept is None or kept[0] != series.version or kept[1] != weight:
            kept = self._smoothed[f"{name} {key}"] = (series.version, weight, series.smooth(weight))
        return kept[2]

    def _smooth_curve(self, name: str, series: Series, weight: float, role: str = "smooth", *, key: str = "") -> Curve:
        values = self._smooth(name, series, weight, key)
        return Curve(role, series.steps[:], series.last_steps[:], values, values, values, values)

    def _validation(self, marks: Marks) -> tuple[Marker, ...]:
        series = self.story.series.get("validation")
        if series is None or self._many_validations:
            return ()
        mark = "o" if marks.rule == "-" else "◆"
        return tuple(
            Marker(float(step), value, mark, "validation")
            for step, value in zip(series.last_steps, series.last, strict=True)
        )

    @property
    def _many_validations(self) -> bool:
        series = self.story.series.get("validation")
        return series is not None and len(series) > POINTS

    def _sampled(self) -> list[int]:
        """The steps that samples were drawn at."""
        return sorted({sample.step for sample in self.story.samples})

    def happened(self, step: float, reach: float) -> list[str]:
        """What there is on the rail within ``reach`` steps of ``step``, in words."""
        story = self.story
        words = {"warning": _("warning"), "alarm": _("alarm"), "resumed": _("resumed"), "changed": _("changed")}
        found = [_("saved") for item in story.checkpoints if abs(item.step - step) <= reach]
        found += [_("sample") for at in self._sampled() if abs(at - step) <= reach]
        found += [words[item.kind] for item in story.markers if item.kind in words and abs(item.step - step) <= reach]
        return list(dict.fromkeys(found))

    def _rail(self, marks: Marks) -> tuple[RailMark, ...]:
        plain = marks.rule == "-"
        saved, state = ("^", "'") if plain else ("▲", "╵")
        found = [RailMark(float(step), "." if plain else "·", "axis") for step in self._sampled()]
        found += [RailMark(float(item.step), state, "saved") for item in self.story.states]
        signs = {"warning": "!", "alarm": "!", "resumed": "+", "changed": "*"}
        for item in self.story.markers:
            if item.kind in signs:
                found.append(RailMark(float(item.step), signs[item.kind], "event"))
        return (*found, *(RailMark(float(item.step), saved, "saved") for item in self.story.checkpoints))


def several(metric: str) -> bool:
    """Whether a metric may consist of more than one series."""
    return metric in ("levels", "weights") or metric in CARD


def of_machine(metric: str) -> bool:
    """Whether a metric is of the machine, and so read apart."""
    return metric in CARD or metric in BARE


def card_of(name: str) -> int:
    """The number of the card that a series is of."""
    number = name.rpartition(".")[2]
    return int(number) if number.isdecimal() else 0


def curve_of(series: Series, role: str, *, robust: bool = False, scale: float = 1.0) -> Curve:
    """A series as a curve: a copy, because a chart may draw it again while the series grows."""
    columns: list[Sequence[float]] = [series.first[:], series.low[:], series.high[:], series.last[:]]
    if scale != 1.0:
        columns = [[value * scale for value in column] for column in columns]
    first, low, high, last = columns
    return Curve(role, series.steps[:], series.last_steps[:], first, low, high, last, robust)


def at_step(steps: Sequence[int], values: Sequence[float], step: float) -> float | None:
    """The value of the newest entry that begins at or before ``step``."""
    place = bisect_right(steps, step) - 1
    return values[place] if place >= 0 else None
