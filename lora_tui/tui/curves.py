"""From the story of a run to what a chart shows: curves, marks, the range of steps. Knows no widget."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from lora_tui.drawing.chart import Curve, Marker, RailMark
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
)
"""The curves that can be looked at, and what they are called."""

SCALES = {"memory_allocated": 1e-9}
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
    """

    metric: int = 0
    zoom: int = 0
    log: bool = False
    smoothing: int = 2
    at: float | None = None

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


class Curves:
    """Makes pictures of a story; smoothed values are kept until the series changes."""

    def __init__(self, story: RunStory) -> None:
        self.story = story
        self._smoothed: dict[str, tuple[int, float, array[float]]] = {}

    def picture(self, look: Look, marks: Marks, *, empty: str = "") -> Picture:
        """What the main chart shows."""
        series = self.story.series.get(look.name)
        first, last = self.range()
        left, right = window(first, last, look.zoom, look.at)
        curves: list[Curve] = []
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

    def small(self, name: str, look: Look) -> Picture:
        """What one of the charts beside the main one shows, over the same steps and with the same cursor."""
        series = self.story.series.get(name)
        left, right = window(*self.range(), look.zoom, look.at)
        curves = [curve_of(series, "smooth", robust=True, scale=SCALES.get(name, 1.0))] if series else []
        text = self.story.series.get("lr.text_encoder")
        if name == "lr.unet" and text is not None and len(text):
            curves.append(curve_of(text, "other"))
        return Picture(tuple(curves), (), (), left, right, cursor=look.at)

    def range(self) -> tuple[float, float]:
        """The first and the newest step that anything is known of."""
        return 0.0, float(max(self.story.step, 1))

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
        series = self.story.series.get(name)
        return at_step(series.steps, series.last, step) if series is not None and len(series) else None

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

    def _smooth(self, name: str, series: Series, weight: float) -> array[float]:
        kept = self._smoothed.get(name)
        if kept is None or kept[0] != series.version or kept[1] != weight:
            kept = self._smoothed[name] = (series.version, weight, series.smooth(weight))
        return kept[2]

    def _smooth_curve(self, name: str, series: Series, weight: float) -> Curve:
        values = self._smooth(name, series, weight)
        return Curve("smooth", series.steps[:], series.last_steps[:], values, values, values, values)

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

    def _rail(self, marks: Marks) -> tuple[RailMark, ...]:
        plain = marks.rule == "-"
        saved, state = ("^", "'") if plain else ("▲", "╵")
        found = [RailMark(float(item.step), state, "saved") for item in self.story.states]
        found += [RailMark(float(item.step), "!", "event") for item in self.story.markers if item.kind == "warning"]
        found += [RailMark(float(item.step), "+", "event") for item in self.story.markers if item.kind == "resumed"]
        return (*found, *(RailMark(float(item.step), saved, "saved") for item in self.story.checkpoints))


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
