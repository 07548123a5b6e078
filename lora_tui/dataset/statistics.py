"""A dataset in numbers: sizes, shapes, buckets, formats, captions, and each folder's share of an epoch."""

from __future__ import annotations

import bisect
import itertools
import statistics as middle
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lora_tui.dataset.batches import fitter
from lora_tui.text import _

if TYPE_CHECKING:
    from lora_tui.config.schema import Config
    from lora_tui.dataset.scan import DatasetImage

SIDES = (256, 384, 512, 768, 1024, 1536, 2048, 4096)
"""Limits of the shorter side in px."""

RATIOS = (0.4, 0.55, 0.72, 0.9, 1.1, 1.4, 1.8, 2.5)
"""Limits of width by height."""

TAGS = (1, 5, 10, 15, 20, 30, 40, 60)
"""Limits of tags in a caption."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One row of a table: its label, how many, and its share of all (0 to 1)."""

    label: str
    number: int
    share: float


@dataclass(frozen=True, slots=True)
class Table:
    """One view of a dataset: ``name`` for scripts, ``title`` for people, its rows and what stands in the middle.

    ``labels`` are those of the images one by one, in their order: the row that each is in, empty for none.
    """

    name: str
    title: str
    bars: tuple[Bar, ...]
    median: str = ""
    labels: tuple[str, ...] = ()


def tables(images: Sequence[DatasetImage], config: Config, tags: Mapping[str, int] | None = None) -> tuple[Table, ...]:
    """Every view of ``images``.

    Args:
        config: says at which sizes they are trained.
        tags: how many tags the caption of each image has, by uid; those without a caption are left out.
    """
    found = [_sides(images), _ratios(images), _buckets(images, config), _formats(images), _epoch(images)]
    if tags is not None:
        found.insert(4, _tags(images, tags))
    return tuple(found)


def _sides(images: Sequence[DatasetImage]) -> Table:
    sides = [min(image.width, image.height) for image in images]
    labels = _between(SIDES, "px")
    each = tuple(labels[bisect.bisect_right(SIDES, side)] for side in sides)
    median = f"{round(middle.median(sides))} px" if sides else ""
    return Table("sides", _("shorter side"), _bars(labels, each), median, each)


def _ratios(images: Sequence[DatasetImage]) -> Table:
    ratios = [image.width / max(image.height, 1) for image in images]
    labels = (
        _("very tall"),
        _("tall, 1:2"),
        _("portrait, 2:3"),
        _("portrait, 4:5"),
        _("square"),
        _("landscape, 5:4"),
        _("landscape, 3:2"),
        _("wide, 2:1"),
        _("very wide"),
    )
    each = tuple(labels[bisect.bisect_right(RATIOS, ratio)] for ratio in ratios)
    return Table("ratios", _("shape"), _bars(labels, each), f"{middle.median(ratios):.2f}" if ratios else "", each)


def _buckets(images: Sequence[DatasetImage], config: Config) -> Table:
    fit = fitter(config)
    sizes = [fit(image).bucket for image in images]
    order = sorted(set(sizes))
    each = tuple(f"{size.width}x{size.height}" for size in sizes)
    return Table("buckets", _("bucket"), _bars([f"{size.width}x{size.height}" for size in order], each), labels=each)


def _formats(images: Sequence[DatasetImage]) -> Table:
    each = tuple(image.facts.format for image in images)
    names = [name for name, _n in Counter(each).most_common()]
    return Table("formats", _("format"), _bars(names, each), labels=each)


def _tags(images: Sequence[DatasetImage], tags: Mapping[str, int]) -> Table:
    numbers = [tags[image.uid] for image in images if image.uid in tags]
    labels = [_("none"), *_between(TAGS[1:], "", first=1)]
    each = tuple(labels[bisect.bisect_right(TAGS, tags[i.uid])] if i.uid in tags else "" for i in images)
    bars = _bars(labels, (label for label in each if label))
    median = f"{round(middle.median(numbers))}" if numbers else ""
    return Table("tags", _("tags in a caption"), bars, median, each)


def _epoch(images: Sequence[DatasetImage]) -> Table:
    """Each folder's share of an epoch: images times repeats."""
    shown: defaultdict[tuple[int, str, int], int] = defaultdict(int)
    each = []
    for image in images:
        folder = image.relative.rpartition("/")[0] or image.path.parent.name
        each.append(_("{folder}, repeats {repeats}").format(folder=folder, repeats=image.repeats))
        shown[image.dataset, folder, image.repeats] += image.repeats
    total = sum(shown.values())
    bars = tuple(
        Bar(_("{folder}, repeats {repeats}").format(folder=folder, repeats=repeats), number, number / total)
        for (_dataset, folder, repeats), number in sorted(shown.items(), key=lambda one: -one[1])
    )
    return Table("epoch", _("share of an epoch"), bars, labels=tuple(each))


def _between(limits: Sequence[int], unit: str, first: int | None = None) -> list[str]:
    """Labels of the ranges below, between and above ``limits``."""
    ending = f" {unit}" if unit else ""
    low = f"{first} – {limits[0] - 1}{ending}" if first is not None else f"< {limits[0]}{ending}"
    between = [f"{low_} – {high - 1}{ending}" for low_, high in itertools.pairwise(limits)]
    return [low, *between, f"≥ {limits[-1]}{ending}"]


def _bars(labels: Iterable[str], values: Iterable[str]) -> tuple[Bar, ...]:
    """Rows in the order of ``labels``; empty ones at both ends are left out."""
    counts = Counter(values)
    total = max(counts.total(), 1)
    bars = [Bar(label, counts[label], counts[label] / total) for label in labels]
    used = [number for number, bar in enumerate(bars) if bar.number]
    return tuple(bars[used[0] : used[-1] + 1]) if used else ()
