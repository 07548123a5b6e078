"""The settings as a flat list drawn from the schema: for form, comments, help, documentation and errors.

Keys are dotted: ``network.rank``. Settings of list entries have the key of the list and of the setting,
``datasets.path``; in a configuration an entry's number (from 0) stands between, ``datasets.0.path``.
"""

from __future__ import annotations

import typing
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from pydantic.fields import FieldInfo

from lora_tui.config.option import Option
from lora_tui.config.schema import Config, Section
from lora_tui.text import N_, _, setting_number

Kind = Literal["int", "float", "bool", "choice", "text", "list"]

_KINDS: dict[object, Kind] = {int: "int", float: "float", bool: "bool", str: "text", list: "list"}


@dataclass(frozen=True)
class FieldSpec:
    """One setting with everything that a face of it needs.

    Attributes:
        key: dotted name without entry numbers, ``network.rank`` or ``datasets.path``.
        section: name of the group in the file, ``network``; empty for ``schema_version``.
        name: the last part of the key.
        option: title, help, unit, rule.
        kind: how a value is written; ``list`` is a list of texts.
        choices: the allowed values of a ``choice``, in the order to show them.
        ge, gt, le: bounds, inclusive, exclusive, inclusive; None where there is none.
        default: the value that a new configuration has.
        repeated: whether the section is a list of entries (``[[datasets]]``).
    """

    key: str
    section: str
    name: str
    option: Option
    kind: Kind
    choices: tuple[str | int, ...]
    ge: float | None
    gt: float | None
    le: float | None
    default: Any
    repeated: bool

    def label(self, value: object) -> str:
        """What a person reads for ``value`` of a choice; other values as they are."""
        return _(dict(self.option.labels).get(str(value), "")) or str(value)


@dataclass(frozen=True)
class SectionSpec:
    """One group of settings: its name in the file, its title (to be translated) and its settings."""

    name: str
    title: str
    fields: tuple[FieldSpec, ...]
    repeated: bool


@cache
def sections() -> tuple[SectionSpec, ...]:
    """All groups in the order of the schema."""
    return tuple(_section(name, info) for name, info in Config.model_fields.items() if name != "schema_version")


@cache
def fields() -> tuple[FieldSpec, ...]:
    """All settings in the order of the schema, those of list entries included."""
    return tuple(spec for section in sections() for spec in section.fields)


def field_for(key: str) -> FieldSpec | None:
    """The setting named ``key``, with or without an entry's number; None when there is none."""
    return _by_key().get(".".join(part for part in key.split(".") if not part.isdecimal()))


def value_of(config: Config, key: str) -> Any:
    """The value of ``key`` (``network.rank``, ``datasets.0.path``) in ``config``.

    Raises:
        KeyError: there is no such setting or entry.
    """
    found: Any = config
    for part in key.split("."):
        try:
            found = found[int(part)] if isinstance(found, list) else getattr(found, part)
        except (AttributeError, IndexError, ValueError) as error:
            raise KeyError(key) from error
    return found


def applies(spec: FieldSpec, config: Config) -> bool:
    """Whether the setting has an effect in ``config``: its family and its rule allow it."""
    if spec.option.families and config.model.family not in spec.option.families:
        return False
    return spec.option.when is None or bool(spec.option.when.test(config))


def allowed_text(spec: FieldSpec) -> str:
    """The allowed values as words: ``a whole number from 1 to 320``."""
    if spec.kind == "bool":
        return _("true or false")
    if spec.kind == "text":
        return _("a text in quotes")
    if spec.kind == "list":
        return _("a list of texts")
    if spec.kind == "choice":
        return _("one of {choices}").format(choices=", ".join(str(choice) for choice in spec.choices))
    noun = _("a whole number") if spec.kind == "int" else _("a number")
    bounds = range_text(spec)
    return _("{noun}, {range}").format(noun=noun, range=bounds) if bounds else noun


def range_text(spec: FieldSpec) -> str:
    """The bounds of a number as words: ``from 1 to 320``, ``above 0, up to 10``; empty when there are none."""
    low, high = _bound(spec.gt if spec.gt is not None else spec.ge), _bound(spec.le)
    if spec.gt is not None:
        return _("above {low}, up to {high}").format(low=low, high=high) if high else _("above {low}").format(low=low)
    if low and high:
        return _("from {low} to {high}").format(low=low, high=high)
    if low:
        return _("at least {low}").format(low=low)
    return _("at most {high}").format(high=high) if high else ""


def unit_text(spec: FieldSpec) -> str:
    """The unit in the current language; empty when there is none."""
    return _(spec.option.unit)


# The units of the schema, named here so that they are found for translation.
UNITS = (N_("px"), N_("steps"), N_("epochs"), N_("tokens"), N_("measurements"))


def _bound(value: float | None) -> str:
    if value is None:
        return ""
    return setting_number(float(value))


def _section(name: str, info: FieldInfo) -> SectionSpec:
    repeated = typing.get_origin(info.annotation) is list
    model = typing.get_args(info.annotation)[0] if repeated else info.annotation
    assert isinstance(model, type) and issubclass(model, Section)
    listed = tuple(_field(name, field, spec, repeated) for field, spec in model.model_fields.items())
    return SectionSpec(name=name, title=_option(info).title, fields=listed, repeated=repeated)


def _field(section: str, name: str, info: FieldInfo, repeated: bool) -> FieldSpec:
    annotation = info.annotation
    origin = typing.get_origin(annotation)
    kind: Kind = "choice" if origin is Literal else _KINDS[origin or annotation]
    bounds: dict[str, float] = {}
    for constraint in info.metadata:
        for bound in ("ge", "gt", "le"):
            if hasattr(constraint, bound):
                bounds[bound] = getattr(constraint, bound)
    return FieldSpec(
        key=f"{section}.{name}",
        section=section,
        name=name,
        option=_option(info),
        kind=kind,
        choices=typing.get_args(annotation) if kind == "choice" else (),
        ge=bounds.get("ge"),
        gt=bounds.get("gt"),
        le=bounds.get("le"),
        default=info.get_default(call_default_factory=True),
        repeated=repeated,
    )


def _option(info: FieldInfo) -> Option:
    extra = info.json_schema_extra
    assert isinstance(extra, dict)
    found = typing.cast(Mapping[str, Any], extra)["option"]
    assert isinstance(found, Option)
    return found


@cache
def _by_key() -> dict[str, FieldSpec]:
    return {spec.key: spec for spec in fields()}
