"""The runs of a sweep: every combination of what varies, each with a complete configuration and a name of its own."""

from __future__ import annotations

import itertools
import json
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from lora_tui.config.load import put_values
from lora_tui.config.mistakes import ConfigErrors
from lora_tui.config.schema import Config, as_plain
from lora_tui.errors import UserError
from lora_tui.runs.folder import folder_name
from lora_tui.sweeps.axes import MOST_VALUES, Axes, Axis, float_text, value_text
from lora_tui.text import _, count, plain

MOST_RUNS = MOST_VALUES
LONGEST_NAME = 60
"""Characters of a run's name; a run folder has room for so many beside its date."""

LONGEST_WORD = 20
"""Characters of a value in a name; a longer one is named by its place among the values."""

LABELS: Mapping[str, str] = {
    "learning.unet_lr": "lr",
    "learning.text_encoder_lr": "te-lr",
    "learning.text_encoder_2_lr": "te2-lr",
    "steps.batch_size": "batch",
    "steps.gradient_accumulation": "accum",
    "data.resolution": "res",
    "memory.base_weights": "base",
    "network.conv_rank": "conv",
}
"""What a setting is called in a name where its own would be long; others by the last part of their key."""


@dataclass(frozen=True)
class Member:
    """One run of a sweep: its name, what it has of what varies (key -> value), and its configuration."""

    name: str
    values: Mapping[str, Any]
    config: Config


@dataclass(frozen=True)
class Sweep:
    """A sweep before it starts.

    Attributes:
        name: of the whole.
        axes: what varies.
        members: its runs, in the order of the axes, the last of them varying fastest; no two are alike.
        alike: combinations that would have been the same run as the one of this name, and what they were.
    """

    name: str
    axes: Axes
    members: tuple[Member, ...]
    alike: tuple[tuple[str, Mapping[str, Any]], ...] = ()

    @property
    def keys(self) -> tuple[str, ...]:
        """The settings that vary."""
        return tuple(axis.key for axis in self.axes.axes)


def expand(config: Config, axes: Axes, name: str = "") -> Sweep:
    """Every combination of ``axes`` in ``config``; those that come to the same configuration are one run.

    Args:
        name: of the sweep; empty takes that of the axes, else that of the configuration.

    Raises:
        UserError: there are too many, or values that are allowed one by one are not allowed together.
    """
    if axes.count > MOST_RUNS:
        factors = " x ".join(count(len(group[0].values)) for group in axes.groups)
        raise UserError(
            _("{factors} = {count} runs are too many; {most} are the most.").format(
                factors=factors, count=count(axes.count), most=count(MOST_RUNS)
            ),
            place="sweep",
            remedy=_("Leave values out, or let settings vary together."),
            code="sweep.too_many",
        )
    kept: dict[str, tuple[dict[str, Any], Config]] = {}
    again: list[tuple[str, dict[str, Any]]] = []
    wrong: list[UserError] = []
    for values in _combinations(axes):
        try:
            made = put_values(config, values)
        except ConfigErrors as errors:
            wrong.extend(errors.errors)
            continue
        text = json.dumps(as_plain(made), sort_keys=True, default=str)
        if text in kept:
            again.append((text, values))
        else:
            kept[text] = values, made
    if wrong:
        raise ConfigErrors(wrong)
    names = dict(zip(kept, _names(config.saving.name, axes, [values for values, _made in kept.values()]), strict=True))
    members = tuple(
        Member(names[text], values, put_values(made, {"saving.name": names[text]}))
        for text, (values, made) in kept.items()
    )
    return Sweep(
        name or axes.name or config.saving.name, axes, members, tuple((names[text], values) for text, values in again)
    )


def values_words(values: Mapping[str, Any]) -> str:
    """What a run has of what varies, for a person: ``network.rank 8, learning.unet_lr 1e-4``."""
    return plain(", ".join(f"{key} {value_text(value)}" for key, value in values.items()), limit=200)


def _combinations(axes: Axes) -> Iterator[dict[str, Any]]:
    rows = [
        [{axis.key: axis.values[place] for axis in group} for place in range(len(group[0].values))]
        for group in axes.groups
    ]
    for parts in itertools.product(*rows):
        values = {key: value for part in parts for key, value in part.items()}
        yield {axis.key: values[axis.key] for axis in axes.axes}


def _names(base: str, axes: Axes, all_values: Sequence[Mapping[str, Any]]) -> list[str]:
    """A name for each of the runs: ``mimbu-rank8-lr1e-4``; short, none like another as a folder or file either."""
    differing = [axis for axis in axes.axes if len({_key(value) for value in axis.values}) > 1]
    labels = _labels(differing)
    firsts = {group[0].key for group in axes.groups}
    for shown in (differing, [axis for axis in differing if axis.key in firsts]):
        names = [
            "-".join([base, *(_part(axis, labels[axis.key], values[axis.key], differing) for axis in shown)])
            for values in all_values
        ]
        same = len({_folded(name) for name in names}) < len(names)
        if not same and max(map(_size, names)) <= LONGEST_NAME:
            return names
    digits = len(str(len(all_values)))
    short = base
    while _size(short) > LONGEST_NAME - digits - 1:
        short = short[:-1]
    return [f"{short}-{number:0{digits}}" for number in range(1, len(all_values) + 1)]


def _labels(axes: Sequence[Axis]) -> dict[str, str]:
    """A short word for each setting; two that would share one have their section in front, entries their number."""
    short = {}
    for axis in axes:
        parts = axis.key.split(".")
        number = f"{int(parts[1]) + 1}" if len(parts) == 3 else ""
        word = LABELS.get(axis.spec.key, axis.spec.name.replace("_", "-"))
        short[axis.key] = f"{word}-{number}" if number else word
    words = list(short.values())
    return {key: word if words.count(word) == 1 else f"{key.split('.')[0]}-{word}" for key, word in short.items()}


def _part(axis: Axis, label: str, value: Any, axes: Sequence[Axis]) -> str:
    """What a name says of one value: a number behind its label, a word alone where it says enough."""
    if isinstance(value, bool):
        return f"{label}-{value_text(value)}"
    if isinstance(value, (int, float)):
        return _numbered(label, float_text(value) if isinstance(value, float) else str(value))
    words = {_key(one): _word(axis, one) for one in axis.values}
    others = {_word(axis, one) for other in axes if other is not axis for one in other.values}
    word = words[_key(value)]
    clear = len(set(words.values())) == len(words) and all(words.values())
    if not clear:
        place = next(at for at, one in enumerate(axis.values, start=1) if _key(one) == _key(value))
        return _numbered(label, str(place))
    if axis.spec.kind == "choice" and word not in _SAYS_LITTLE and word not in others:
        return word
    return f"{label}-{word}"


_SAYS_LITTLE = frozenset({"none", "auto", "off", "on", "default", "linear", "all"})


def _word(axis: Axis, value: Any) -> str:
    """A text value as a word of a name; empty where it makes none."""
    text = value_text(value)
    if axis.spec.option.path:
        text = PurePath(text).stem
    text = re.sub(r"[^\w.+-]+", "-", unicodedata.normalize("NFC", text)).strip("-.")
    return text if len(text) <= LONGEST_WORD else ""


def _key(value: Any) -> str:
    return json.dumps(value, default=str)


def _folded(name: str) -> str:
    return folder_name(name).casefold()


def _size(name: str) -> int:
    return len(name.encode("utf-8", "replace"))


def _numbered(label: str, text: str) -> str:
    return f"{label}-{text}" if label[-1].isdecimal() else f"{label}{text}"
