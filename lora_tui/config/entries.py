"""What holds for each folder of images: its own settings where it has any, else the general ones. Loads no schema."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lora_tui.config.schema import CaptionSection, Config, DataSection, DatasetEntry

_SWITCH = {"on": True, "off": False}
FOLDER = "{folder}"
"""What stands for the words in the name of an image's folder."""


@dataclass(frozen=True)
class EntrySettings:
    """The settings of one ``[[datasets]]``, complete.

    Attributes:
        data: resolution, buckets and flips; limits of the sides grow and shrink with a resolution of its own.
        captions: how its captions are found and varied.
        batch_size: images shown at once.
        regularisation: they are images of the class.
        weight: what their loss counts, the prior loss weight of images of the class in it.
        further: ``data`` at each further resolution that its images are trained at.
    """

    data: DataSection
    captions: CaptionSection
    batch_size: int
    regularisation: bool = False
    weight: float = 1.0
    further: tuple[DataSection, ...] = ()


def settings_of(config: Config, dataset: int) -> EntrySettings:
    """What holds for images of ``config.datasets[dataset]``; the general settings when there is no such entry."""
    if not 0 <= dataset < len(config.datasets):
        return EntrySettings(
            config.data, config.captions, config.steps.batch_size, further=_further(config.data, config.data)
        )
    entry = config.datasets[dataset]
    own, captions = _data(entry, config.data), _captions(entry, config.captions)
    data = config.data.model_copy(update=own) if own else config.data
    return EntrySettings(
        data=data,
        captions=config.captions.model_copy(update=captions) if captions else config.captions,
        batch_size=entry.batch_size or config.steps.batch_size,
        regularisation=entry.regularisation,
        weight=entry.weight * (config.data.prior_loss_weight if entry.regularisation else 1.0),
        further=() if entry.resolution else _further(config.data, data),
    )


def dataset_at(config: Config, folder: str | PathLike[str]) -> int:
    """The first entry with exactly this folder; -1 when there is none, which stands for the general settings."""
    path = fspath(folder)
    return next((number for number, entry in enumerate(config.datasets) if entry.path == path), -1)


def all_settings(config: Config) -> tuple[EntrySettings, ...]:
    """:func:`settings_of` of every entry; of the general ones where there is no entry."""
    return tuple(settings_of(config, dataset) for dataset in range(max(len(config.datasets), 1)))


def _data(entry: DatasetEntry, general: DataSection) -> dict[str, Any]:
    own = at_resolution(entry.resolution, general) if entry.resolution else {}
    if entry.flip in _SWITCH:
        own["flip"] = _SWITCH[entry.flip]
    return own


def further_sizes(general: DataSection) -> tuple[int, ...]:
    """The further resolutions, px, each once; what is no number is left out."""
    sizes = [int(text) for text in general.more_resolutions if text.strip().isdecimal()]
    return tuple(dict.fromkeys(size for size in sizes if size > 0 and size != general.resolution))


def _further(general: DataSection, data: DataSection) -> tuple[DataSection, ...]:
    return tuple(data.model_copy(update=at_resolution(size, general)) for size in further_sizes(general))


def at_resolution(resolution: int, general: DataSection) -> dict[str, Any]:
    """What changes with the resolution: limits of the sides grow and shrink with it."""
    if resolution == general.resolution:
        return {}
    sides = {name: _scaled(getattr(general, name), resolution, general) for name in ("bucket_min", "bucket_max")}
    return {"resolution": resolution, **sides}


def _scaled(side: int, resolution: int, general: DataSection) -> int:
    """A limit of sides for another resolution: the nearest step."""
    step = general.bucket_step
    return max(round(side * resolution / general.resolution / step), 1) * step


def _captions(entry: DatasetEntry, general: CaptionSection) -> dict[str, Any]:
    own: dict[str, Any] = {}
    if entry.extensions:
        own["extensions"] = list(entry.extensions)
    if entry.shuffle in _SWITCH:
        own["shuffle"] = _SWITCH[entry.shuffle]
    if entry.keep_tokens >= 0:
        own["keep_tokens"] = entry.keep_tokens
    if entry.dropout >= 0:
        own["dropout"] = entry.dropout
    if entry.tag_dropout >= 0:
        own["tag_dropout"] = entry.tag_dropout
    if entry.missing.strip():
        own["missing"] = entry.missing
    elif entry.regularisation and general.missing.strip() != FOLDER:
        own["missing"] = ""  # it may name the subject
    for name in ("prefix", "suffix"):
        if getattr(entry, name).strip() or entry.regularisation:  # the general ones may name the subject
            own[name] = getattr(entry, name)
    return own
