"""What varies in a sweep: settings with several values each, from ``[sweep]`` of a configuration or from ``--vary``.

In the file each setting has a list, or a text as ``--vary`` takes it::

    [sweep]
    "network.rank" = [8, 16, 32]
    "learning.unet_lr" = "1e-5-1e-3 [5 log]"
    together = [["network.rank", "network.alpha"]]

As text, values are separated by commas, those that are lists themselves by semicolons; an entry that holds a comma
stands in quotes. Numbers have ranges: ``8-32`` in steps of one, ``8-32 (+8)`` in such steps, ``0.2-1 [5]`` so many
evenly, ``1e-5-1e-3 [5 log]`` so many with the same factor between them. Every value is combined with every value of
the others; settings that vary ``together`` go through their values side by side.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lora_tui.config.fields import FieldSpec, field_for, value_of
from lora_tui.config.lists import read_list
from lora_tui.config.load import SWEEP, put_values, read_value
from lora_tui.config.mistakes import ConfigErrors, joined, shown, unknown_key
from lora_tui.config.ranges import NoRange, TooMany, numbers_in
from lora_tui.config.schema import Config
from lora_tui.errors import UserError
from lora_tui.text import _, count, ngettext, plain, setting_number

TOGETHER, NAME = "together", "name"
"""What else the table may have: the settings that vary together, and the name of the sweep."""

NO_AXIS = frozenset({"saving.name"})
"""Names the runs, and is made from what differs."""

MOST_VALUES = 500
"""Values of one setting, and runs of one sweep."""

SHOWN_ERRORS = 3
"""Wrong values of one setting that are told one by one."""


@dataclass(frozen=True)
class Axis:
    """A setting and the values that it takes, typed; ``key`` as in ``--set``, ``samples.0.prompt``."""

    key: str
    values: tuple[Any, ...]

    @property
    def spec(self) -> FieldSpec:
        """The setting."""
        found = field_for(self.key)
        assert found is not None  # it was checked when the axis was made
        return found


@dataclass(frozen=True)
class Axes:
    """All that varies.

    Attributes:
        groups: settings that vary together; most stand alone. Every combination of groups is a run.
        name: what the file calls the sweep; empty where it does not.
    """

    groups: tuple[tuple[Axis, ...], ...]
    name: str = ""

    @property
    def axes(self) -> tuple[Axis, ...]:
        """The settings one by one, in the order in which they were given."""
        return tuple(axis for group in self.groups for axis in group)

    @property
    def count(self) -> int:
        """Combinations."""
        return math.prod(len(group[0].values) for group in self.groups)


def axes_of(
    config: Config,
    table: Any,
    texts: Iterable[str] = (),
    *,
    zipped: bool = False,
    place: str = SWEEP,
    base: Path | None = None,
) -> Axes:
    """What varies by the ``[sweep]`` table of a file and by the ``KEY=VALUES`` of the command line.

    Args:
        config: the configuration that the values are put into, each of them to be tried.
        table: as TOML has it; none where there is no such table.
        texts: each replaces what the table has for its key.
        zipped: the ``texts`` vary together.
        place: of the table, for errors.
        base: the folder that relative places in the table count from; those of ``texts`` count from the current one.

    Raises:
        ConfigErrors: a setting is unknown, a value is not allowed, a list is empty, or what varies together has not as
            many values each; all of them at once.
    """
    wrong: list[UserError] = []
    told, together, name = _of_table(table, place, wrong)
    given: dict[str, tuple[str, Any, Path | None]] = {
        key: (joined(place, f'"{key}"'), values, base) for key, values in told.items()
    }
    own: list[str] = []
    for text in texts:
        key, equals, values = text.partition("=")
        key = key.strip()
        if not equals or not key:
            wrong.append(_no_vary(text))
            continue
        if key in own:
            wrong.append(_twice(key, "--vary"))
        own.append(key)
        given[key] = ("--vary", values, None)
    axes: dict[str, Axis] = {}
    for key, (where, values, folder) in given.items():
        try:
            axes[key] = _axis(config, key, values, folder)
        except ConfigErrors as errors:
            wrong.extend(_at(error, where) for error in errors.errors)
        except UserError as error:
            wrong.append(_at(error, where))
    groups = [*together, *([own] if zipped and own else [])]
    wrong.extend(_mismatched(groups, axes, given, place))
    if wrong:
        raise ConfigErrors(wrong)
    if not axes:
        raise UserError(
            _("Nothing varies."),
            place=place,
            remedy=_("Give a setting several values: --vary network.rank=8,16,32, or a table [sweep] in the file."),
            code="sweep.empty",
        )
    return Axes(grouped(axes, groups), name)


def read_values(key: str, text: str) -> tuple[Any, ...]:
    """The values in ``text`` for the setting ``key``; ranges are written out.

    Raises:
        UserError: the setting is unknown, a value is none of its type, or there are none or too many.
    """
    spec = field_for(key)
    if spec is None:
        raise unknown_key(key)
    entries = _entries(spec, text)
    found: list[Any] = []
    for entry in entries:
        numbers = _range(spec, key, entry) if spec.kind in ("int", "float") else None
        found += [read_value(key, entry)] if numbers is None else numbers
    if not found:
        raise _empty(key)
    if len(found) > MOST_VALUES:
        raise _too_many_values(key, len(found))
    return tuple(found)


def values_text(axis: Axis) -> str:
    """The values as a text that :func:`read_values` reads again."""
    if axis.spec.kind == "list":
        return "; ".join(", ".join(map(str, one)) for one in axis.values)
    from lora_tui.config.lists import list_text

    return list_text(value_text(value) for value in axis.values)


def value_text(value: Any) -> str:
    """One value in few characters: ``1e-4`` and not ``0.0001``, ``on`` and not ``True``."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, float):
        return setting_number(value)
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value)


def float_text(value: float) -> str:
    """The shorter of a number's two notations; both read back as the same number."""
    if not math.isfinite(value):
        return str(value)
    if value == int(value) and abs(value) < 1e6:
        return str(int(value))
    fixed = repr(value)
    if "e" in fixed:
        head, _e, exponent = fixed.partition("e")
        return f"{head}e{int(exponent)}"
    digits = f"{value:e}"
    head, _e, exponent = digits.partition("e")
    short = f"{head.rstrip('0').rstrip('.')}e{int(exponent)}"
    return short if float(short) == value and len(short) < len(fixed) else fixed


def _of_table(table: Any, place: str, wrong: list[UserError]) -> tuple[dict[str, Any], list[list[str]], str]:
    """The settings of the table, those that vary together, and the name."""
    if table is None:
        return {}, [], ""
    if not isinstance(table, Mapping):
        wrong.append(_table(place))
        return {}, [], ""
    rest = dict(table)
    together, name = rest.pop(TOGETHER, []), rest.pop(NAME, "")
    if not isinstance(name, str):
        wrong.append(UserError(_("The name must be a text."), place=joined(place, NAME), code="sweep.name"))
        name = ""
    told = together if isinstance(together, list) else [together]
    if told and all(isinstance(one, str) for one in told):
        told = [told]  # one group, its brackets left out
    if not all(isinstance(one, list) and all(isinstance(key, str) for key in one) for one in told):
        wrong.append(
            UserError(
                _("{value} is no list of settings that vary together.").format(value=shown(together)),
                place=joined(place, TOGETHER),
                remedy=_('Write it like this: together = [["network.rank", "network.alpha"]]'),
                code="sweep.together",
            )
        )
        told = []
    return _flat(rest), told, name


def _flat(tables: Mapping[str, Any], head: str = "") -> dict[str, Any]:
    """``"network.rank"`` with quotes and ``network.rank`` without are the same to a person."""
    found: dict[str, Any] = {}
    for key, value in tables.items():
        if isinstance(value, Mapping):
            found.update(_flat(value, f"{head}{key}."))
        else:
            found[f"{head}{key}"] = value
    return found


def _axis(config: Config, key: str, values: Any, base: Path | None) -> Axis:
    """The axis of one setting, every value tried in ``config`` and as it is there.

    Raises:
        UserError: the setting is unknown or names the run, or a value is not allowed.
    """
    if key in NO_AXIS:
        raise UserError(
            _("The names of the runs are made from what differs."),
            place=key,
            remedy=_("Leave it out; the name in the file begins each."),
            code="sweep.name",
        )
    spec = field_for(key)
    if spec is None:
        raise unknown_key(key)
    wrong: list[UserError] = []
    found: list[Any] = []
    to_read = isinstance(values, str) or spec.kind in ("int", "float", "bool")
    for one in _listed(spec, values):
        try:
            for value in read_values(key, one) if to_read and isinstance(one, str) else [one]:
                put = value_of(put_values(config, {key: value}, base=base), key)
                found.append(value if spec.key == "samples.prompt" else put)  # with the flags behind it
        except ConfigErrors as errors:
            wrong.extend(errors.errors)
    if wrong:
        raise ConfigErrors(_few(wrong))
    if not found:
        raise _empty(key)
    if len(found) > MOST_VALUES:
        raise _too_many_values(key, len(found))
    return Axis(key, tuple(found))


def _listed(spec: FieldSpec, values: Any) -> Sequence[Any]:
    """What stands for the setting, entry by entry."""
    if not isinstance(values, list):
        return [values]
    if spec.kind == "list" and values and all(isinstance(one, str) for one in values):
        return [values]  # one value that is a list
    return values


def _entries(spec: FieldSpec, text: str) -> list[str]:
    if spec.kind == "list":
        return [one for one in text.split(";") if one.strip()]
    return read_list(text)


def _range(spec: FieldSpec, key: str, text: str) -> list[Any] | None:
    """The numbers of a range; none where the text is one number, or none.

    Raises:
        UserError: it goes nowhere, or has too many.
    """
    try:
        return numbers_in(text, whole=spec.kind == "int", most=MOST_VALUES)
    except NoRange:
        raise _no_range(key, text) from None
    except TooMany as error:
        raise _too_many_values(key, error.count) from None


def grouped(axes: Mapping[str, Axis], groups: Sequence[Sequence[str]]) -> tuple[tuple[Axis, ...], ...]:
    """The axes with their companions, each group where its first one was given; what does not vary is left out."""
    of = {key: tuple(group) for group in groups for key in group}
    return tuple(
        tuple(axes[one] for one in group)
        for group in dict.fromkeys(tuple(key for key in axes if key in of.get(first, (first,))) for first in axes)
    )


def _mismatched(
    groups: Sequence[Sequence[str]], axes: Mapping[str, Axis], given: Mapping[str, Any], place: str
) -> Iterable[UserError]:
    seen: set[str] = set()
    where = joined(place, TOGETHER)
    for group in groups:
        for key in group:
            if key not in given:
                yield UserError(
                    _("{key} does not vary.").format(key=plain(key, limit=80)),
                    place=where,
                    remedy=_("Give it as many values as those that it varies with."),
                    code="sweep.together",
                )
            if key in seen:
                yield _twice(key, where)
            seen.add(key)
        lengths = {key: len(axes[key].values) for key in group if key in axes}
        if len(set(lengths.values())) > 1:
            told = ", ".join(f"{plain(key, limit=80)}: {number}" for key, number in lengths.items())
            yield UserError(
                _("What varies together needs as many values each; there are {told}.").format(told=told),
                place=where,
                code="sweep.together",
            )


def _at(error: UserError, where: str) -> UserError:
    """``error`` with the place where the value stands."""
    inside = f'"{error.place}"' in where
    place = where if inside else joined(where, error.place)
    return UserError(error.message, place=place, remedy=error.remedy, code=error.code)


def _no_vary(text: str) -> UserError:
    return UserError(
        _("{text} is no KEY=VALUES.").format(text=plain(text, limit=60)),
        place="--vary",
        remedy=_("Write it like this: --vary network.rank=8,16,32"),
        code="usage",
    )


def _twice(key: str, where: str) -> UserError:
    return UserError(_("{key} is there twice.").format(key=plain(key, limit=80)), place=where, code="sweep.twice")


def _empty(key: str) -> UserError:
    return UserError(
        _("There is no value to vary."),
        place=plain(key, limit=120),
        remedy=_("List at least one, such as 8, 16, 32."),
        code="sweep.empty",
    )


def _no_range(key: str, text: str) -> UserError:
    return UserError(
        _("{text} is no range.").format(text=plain(text, limit=60)),
        place=key,
        remedy=_("Ranges are 8-32 (+8), 0.2-1 [5], and 1e-5-1e-3 [5 log] for numbers above 0."),
        code="sweep.range",
    )


def _too_many_values(key: str, number: int) -> UserError:
    return UserError(
        _("{count} values are too many for one setting; {most} are the most.").format(
            count=count(number), most=count(MOST_VALUES)
        ),
        place=plain(key, limit=120),
        code="sweep.too_many",
    )


def _few(errors: Sequence[UserError]) -> list[UserError]:
    """The first of them, and how many more there are."""
    if len(errors) <= SHOWN_ERRORS + 1:
        return list(errors)
    more = len(errors) - SHOWN_ERRORS
    text = ngettext("{count} more value is wrong.", "{count} more values are wrong.", more)
    return [*errors[:SHOWN_ERRORS], UserError(text.format(count=count(more)), code="sweep.more")]


def _table(place: str) -> UserError:
    return UserError(
        _("What varies stands in a table [sweep]."),
        place=place,
        remedy=_('Write it like this: [sweep], and below it "network.rank" = [8, 16, 32]'),
        code="sweep.table",
    )
