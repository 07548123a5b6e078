"""The plan of batches: which image is shown when, at which size. Plan, preview and trainer use the same.

Everything is keyed by (seed, epoch), never by the order in which a folder was listed or by what ran
before, so a resumed run continues in the middle of an epoch with exactly the batches it would have had.
"""

from __future__ import annotations

import heapq
import math
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING

from lora_tui.background import SOME, courteous
from lora_tui.config.entries import EntrySettings, all_settings
from lora_tui.dataset.buckets import Box, Fit, Size, buckets_for, fit_image
from lora_tui.dataset.looks import NO_AUGMENTATION, Augmentation, Look, augmentation_of
from lora_tui.dataset.scan import DatasetImage, MaskSource, Scan, has_mask, natural_key
from lora_tui.errors import UserError
from lora_tui.keyed import keyed_random, keyed_seed
from lora_tui.text import _

if TYPE_CHECKING:
    from lora_tui.config.schema import Config, DataSection

#: Below this many images, ``auto`` holds none out: the set is too small to spare any.
AUTO_VALIDATION_FROM = 20
MIN_VALIDATION = 2


@dataclass(frozen=True, slots=True)
class PlannedImage:
    """An image and how it becomes a training image, in general or at the ``level``-th of its further resolutions.

    ``faces`` are those that were looked for in it, the largest first, px of the image as it is shown.
    """

    image: DatasetImage
    fit: Fit
    level: int = 0
    faces: tuple[Box, ...] = ()

    @property
    def area(self) -> Box:
        """All of the image that may be shown, px of it as it is shown."""
        return self.image.crop or Box(0, 0, self.image.facts.width, self.image.facts.height)


@dataclass(frozen=True, slots=True)
class Item:
    """One showing of an image: its index in :attr:`DataPlan.train` and which repeat of the epoch, from 0.

    Repeats are counted on over an image's resolutions, so that each showing has noise and a caption of its own.
    """

    index: int
    repeat: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Showings of images of one size, at most as many as the batch size; ``place`` is its own in the epoch, from 0."""

    bucket: Size
    items: tuple[Item, ...]
    place: int = 0


@dataclass(frozen=True, slots=True)
class EntryPlan:
    """What sets the images of one dataset apart from those of others.

    Attributes:
        batch_size: how many are shown at once.
        flip: mirror them at random.
        weight: what their loss counts.
        regularisation: they are images of the class.
    """

    batch_size: int
    flip: bool = False
    weight: float = 1.0
    regularisation: bool = False


@dataclass(frozen=True)
class DataPlan:
    """All that a run will show, in order.

    Attributes:
        train: the images that are trained, in natural order of their names, at each of their resolutions.
        validation: the images held out, in the same order.
        batch_size: images shown at once; the last batch of a bucket may be smaller.
        accumulation: batches added up before one update.
        seed: names the order.
        epochs: as configured.
        max_steps: as configured; 0 for all epochs.
        flip: mirror images at random.
        entries: what holds for each dataset; where it has no entry, what is general holds.
        masks: where masks come from.
        augmentation: how images vary from showing to showing.
    """

    train: tuple[PlannedImage, ...]
    validation: tuple[PlannedImage, ...]
    batch_size: int
    accumulation: int
    seed: int
    epochs: int
    max_steps: int
    flip: bool = False
    entries: tuple[EntryPlan, ...] = ()
    masks: MaskSource = "off"
    augmentation: Augmentation = NO_AUGMENTATION

    @cached_property
    def masked(self) -> int:
        """Images of which a mask says what counts."""
        return sum(has_mask(planned.image, self.masks) for planned in courteous(self.pictures))

    @cached_property
    def pictures(self) -> tuple[PlannedImage, ...]:
        """The images that are trained, each once."""
        return tuple(planned for planned in courteous(self.train) if not planned.level)

    def entry(self, planned: PlannedImage) -> EntryPlan:
        """What holds for an image."""
        dataset = planned.image.dataset
        return self.entries[dataset] if dataset < len(self.entries) else EntryPlan(self.batch_size, self.flip)

    @property
    def items_per_epoch(self) -> int:
        """Images shown in one epoch, repeats included."""
        return sum(planned.image.repeats for planned in courteous(self.train))

    @cached_property
    def of_class(self) -> tuple[PlannedImage, ...]:
        """The regularisation images among those that are trained."""
        return tuple(planned for planned in courteous(self.train) if self.entry(planned).regularisation)

    @cached_property
    def bucket_counts(self) -> tuple[tuple[Size, int, int], ...]:
        """For each bucket in use, sorted: its size, its images without repeats, its batches an epoch."""
        images = Counter(planned.fit.bucket for planned in courteous(self.train))
        batches: Counter[Size] = Counter()
        for (size, batch_size), shown in self.showings.items():
            batches[size] += math.ceil(shown / batch_size)
        return tuple((size, images[size], batches[size]) for size in sorted(images))

    @cached_property
    def showings(self) -> Mapping[tuple[Size, int], int]:
        """How many images an epoch shows of each size and batch size, repeats included."""
        shown: Counter[tuple[Size, int]] = Counter()
        for planned in courteous(self.train):
            shown[planned.fit.bucket, self.entry(planned).batch_size] += planned.image.repeats
        return shown

    @cached_property
    def batch_sizes(self) -> tuple[int, ...]:
        """The batch sizes in use, sorted."""
        return tuple(sorted({batch_size for _size, batch_size in self.showings}))

    @cached_property
    def batches_per_epoch(self) -> int:
        """Batches in one epoch, the short last ones of the buckets counted."""
        return sum(batches for _size, _images, batches in self.bucket_counts)

    @property
    def steps_per_epoch(self) -> int:
        """Updates in one epoch; the last one of an epoch may add up fewer batches than the others."""
        return math.ceil(self.batches_per_epoch / self.accumulation)

    @property
    def total_steps(self) -> int:
        """Updates in the whole run."""
        return self.max_steps or self.epochs * self.steps_per_epoch

    @property
    def total_epochs(self) -> int:
        """Epochs that are begun: fewer or more than configured when a number of steps is asked for."""
        return math.ceil(self.total_steps / self.steps_per_epoch)

    def epoch(self, number: int) -> tuple[Batch, ...]:
        """The batches of an epoch, from 0, in order: images shuffled within buckets, then batches shuffled.

        Every (image, repeat) comes exactly once; short batches are kept. Images of one size share batches across
        datasets, unless these have other batch sizes.
        """
        showings: defaultdict[tuple[Size, int], list[Item]] = defaultdict(list)
        for index, planned in enumerate(self.train):
            bucket = showings[planned.fit.bucket, self.entry(planned).batch_size]
            repeats, first = planned.image.repeats, planned.level * planned.image.repeats
            bucket.extend(Item(index, repeat) for repeat in range(first, first + repeats))
        batches: list[Batch] = []
        for size, batch_size in sorted(showings):
            items = showings[size, batch_size]
            own = () if batch_size == self.batch_size else (batch_size,)
            keyed_random("images of an epoch", self.seed, number, size.width, size.height, *own).shuffle(items)
            for start in range(0, len(items), batch_size):
                batches.append(Batch(size, tuple(items[start : start + batch_size])))
        keyed_random("batches of an epoch", self.seed, number).shuffle(batches)
        return tuple(replace(batch, place=place) for place, batch in enumerate(batches))

    def updates_before(self, epoch: int, batch: Batch) -> int:
        """How many updates are behind when a batch of an epoch is shown."""
        return epoch * self.steps_per_epoch + batch.place // self.accumulation

    def taker(self, batch: Batch, processes: int) -> int:
        """Which of so many processes (from 0) takes a batch: those of an update go round."""
        return batch.place % self.accumulation % processes

    def flipped(self, epoch: int, item: Item) -> bool:
        """Whether this showing is mirrored left to right."""
        planned = self.train[item.index]
        if not self.entry(planned).flip:
            return False
        return bool(keyed_seed("flip", self.seed, epoch, planned.image.uid, item.repeat) & 1)

    def look(self, epoch: int, item: Item) -> Look:
        """How the image is shown this time."""
        planned, augmentation = self.train[item.index], self.augmentation
        flipped, key = self.flipped(epoch, item), (self.seed, epoch, planned.image.uid, item.repeat)
        if not augmentation.varies:
            return Look(planned.fit, flipped)
        if augmentation.variants > 0:
            number = keyed_random("look variant", *key).randrange(augmentation.variants)
            return self._variant(planned, number, flipped=flipped)
        return self._drawn(planned, keyed_random("look", *key), flipped=flipped)

    def looks(self, planned: PlannedImage) -> tuple[Look, ...]:
        """Every look that an image is shown in; its plain ones where each showing has a look of its own.

        Those that are held out have but one.
        """
        if planned.image.uid in self._held_out:
            return (Look(planned.fit),)
        sides = (False, True) if self.entry(planned).flip else (False,)
        if not (self.augmentation.varies and self.augmentation.variants > 0):
            return tuple(Look(planned.fit, flipped) for flipped in sides)
        numbers = range(self.augmentation.variants)
        return tuple(self._variant(planned, number, flipped=flipped) for number in numbers for flipped in sides)

    @cached_property
    def _held_out(self) -> frozenset[str]:
        return frozenset(planned.image.uid for planned in self.validation)

    def _variant(self, planned: PlannedImage, number: int, *, flipped: bool) -> Look:
        draws = keyed_random("look of an image", self.seed, planned.image.uid, number)
        return self._drawn(planned, draws, flipped=flipped, number=number)

    def _drawn(self, planned: PlannedImage, draws: random.Random, *, flipped: bool, number: int = 0) -> Look:
        face = planned.faces[0] if planned.faces else None
        return self.augmentation.look(
            planned.fit, draws, flipped=flipped, number=number, face=face, area=planned.area
        )  # fmt: skip


def make_plan(config: Config, scan: Scan, *, groups: Mapping[str, int] | None = None) -> DataPlan:
    """The plan of a run over the images of a scan. The same whatever the order of the scan.

    Args:
        groups: near-duplicate group of each image by uid (an image without one stands alone). None finds
            them when images are held out for validation, which decodes images that are not in the cache
            of fingerprints yet: do that outside an interface thread.

    Raises:
        UserError: there is no image (``dataset.empty``).
    """
    images = list(scan.images)
    if not scan.ordered:
        images.sort(key=lambda image: (image.dataset, natural_key(image.relative)))
    if not images:
        raise UserError(
            _("There is no image to train on."),
            place=", ".join(entry.path for entry in config.datasets),
            remedy=_("Put images into the folder, or choose another one."),
            code="dataset.empty",
        )
    entries = tuple(_entry(own) for own in all_settings(config))
    of_class = {number for number, entry in enumerate(entries) if entry.regularisation}
    held_out = _held_out(config, [image for image in images if image.dataset not in of_class], groups)
    images = _balanced(images, of_class, held_out)
    fit, further = fitter(config), _further_fitter(config)
    planned = [PlannedImage(image, fit(image)) for image in courteous(images)]
    trained = [one for one in courteous(planned) if one.image.uid not in held_out]
    return DataPlan(
        train=tuple(chain.from_iterable((one, *further(one)) for one in courteous(trained))),
        validation=tuple(one for one in courteous(planned) if one.image.uid in held_out),
        batch_size=config.steps.batch_size,
        accumulation=config.steps.gradient_accumulation,
        seed=config.steps.seed,
        epochs=config.steps.epochs,
        max_steps=config.steps.max_steps,
        flip=config.data.flip,
        entries=entries,
        masks=config.masks.source,
        augmentation=augmentation_of(config),
    )


def _entry(own: EntrySettings) -> EntryPlan:
    return EntryPlan(own.batch_size, own.data.flip, own.weight, own.regularisation)


def _balanced(images: list[DatasetImage], of_class: Collection[int], held_out: Collection[str]) -> list[DatasetImage]:
    """The images with as many showings of the class as of the subject in an epoch, by sd-scripts' rule.

    Images of the class are taken in order with their own repeats until there are enough, the rest left out; while
    there are too few, each in turn is repeated once more. Without images of the subject they are left as they are.
    """
    if not of_class:
        return images
    subject = [image for image in images if image.dataset not in of_class]
    wanted = sum(image.repeats for image in subject if image.uid not in held_out)
    if not wanted:
        return images
    repeats: dict[str, int] = {}
    shown = 0
    for image in images:
        if image.dataset in of_class and shown < wanted:
            repeats[image.uid] = image.repeats
            shown += image.repeats
    more, rest = divmod(max(wanted - shown, 0), max(len(repeats), 1))
    for number, uid in enumerate(repeats):
        repeats[uid] += more + (number < rest)
    return [
        replace(image, repeats=repeats[image.uid]) if image.dataset in of_class else image
        for image in images
        if image.dataset not in of_class or image.uid in repeats
    ]


def validation_count(images: int, mode: str, share: float) -> int:
    """How many of ``images`` to hold out: none when off, or in ``auto`` for a small set; else the share, at least 2."""
    if mode == "off" or (mode == "auto" and images < AUTO_VALIDATION_FROM):
        return 0
    return min(max(math.floor(images * share + 0.5), MIN_VALIDATION), images - 1)


def _held_out(config: Config, images: list[DatasetImage], groups: Mapping[str, int] | None) -> frozenset[str]:
    wanted = validation_count(len(images), config.validation.mode, config.validation.share)
    if wanted < 1:
        return frozenset()
    if groups is None:
        from lora_tui.dataset.similar import image_groups

        groups = image_groups(images)
    together: defaultdict[tuple[int, str], list[DatasetImage]] = defaultdict(list)
    for image in courteous(images):
        group = groups.get(image.uid)
        together[(0, image.uid) if group is None else (1, str(group))].append(image)
    seed = config.steps.seed
    # Small sorts that are merged as far as groups are drawn: of perhaps a hundred thousand these are the first few, and
    # one large sort would keep an app waiting.
    draws = [(_draw(seed, members), number, members) for number, members in enumerate(courteous(together.values()))]
    drawn = heapq.merge(*(sorted(draws[start : start + SOME]) for start in range(0, len(draws), SOME)))
    taken: list[DatasetImage] = []
    passed: list[list[DatasetImage]] = []
    while len(taken) < wanted and (draw := next(drawn, None)) is not None:
        members = draw[2]
        if len(taken) + len(members) <= wanted:
            taken.extend(members)
        else:
            passed.append(members)
    if len(taken) < MIN_VALIDATION:  # then all were drawn
        taken.extend(_smallest_rest(passed, taken, len(images)))
    return frozenset(image.uid for image in taken)


def _smallest_rest(rest: list[list[DatasetImage]], taken: list[DatasetImage], total: int) -> list[DatasetImage]:
    """The smallest group of ``rest``, when at most half of all images are then held out; else nothing."""
    smallest = min(rest, key=len, default=[])
    return smallest if 2 * (len(taken) + len(smallest)) <= total else []


def _draw(seed: int, members: list[DatasetImage]) -> int:
    """A group's place in the draw: by its content's names and sizes, not by its place in the list of datasets."""
    return min(keyed_seed("validation", seed, image.relative, image.facts.size) for image in members)


def fitter(config: Config) -> Callable[[DatasetImage], Fit]:
    """What brings each image to the size that it is trained at, by its dataset's own settings."""
    return _fitting([own.data for own in all_settings(config)])


def _further_fitter(config: Config) -> Callable[[PlannedImage], Iterator[PlannedImage]]:
    """What gives an image at each of its further resolutions where it becomes another picture there."""
    settings = all_settings(config)
    levels = [
        _fitting([own.further[level] if level < len(own.further) else own.data for own in settings])
        for level in range(max(len(own.further) for own in settings))
    ]

    def further(planned: PlannedImage) -> Iterator[PlannedImage]:
        seen = {planned.fit}
        for level, fit in enumerate(levels, start=1):
            found = fit(planned.image)
            if found not in seen:
                seen.add(found)
                yield PlannedImage(planned.image, found, level)

    return further


def _fitting(sections: Sequence[DataSection]) -> Callable[[DatasetImage], Fit]:
    """What fits each image by the section of its dataset."""
    each = [(data, buckets_for(data)) for data in sections]
    known: dict[tuple[int, int, int], Fit] = {}

    def fit(image: DatasetImage) -> Fit:
        key = image.dataset, image.width, image.height
        found = known.get(key)
        if found is None:
            data, buckets = each[image.dataset] if image.dataset < len(each) else each[0]
            found = known[key] = fit_image(image.width, image.height, data, buckets)
        return found if image.crop is None else replace(found, source=image.crop)

    return fit
