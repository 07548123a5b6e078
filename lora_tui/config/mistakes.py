"""What is wrong in a configuration, as errors that name field, value and what is allowed."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from lora_tui.config.fields import FieldSpec, allowed_text, field_for, fields, sections
from lora_tui.config.schema import Config
from lora_tui.errors import UserError
from lora_tui.text import _, ngettext, plain, setting_number


class ConfigErrors(UserError):
    """One or several wrong settings, reported together; ``errors`` has them one by one."""

    def __init__(self, errors: Sequence[UserError], *, place: str = "") -> None:
        self.errors = tuple(errors)
        if len(self.errors) == 1:
            only = self.errors[0]
            super().__init__(only.message, place=only.place, remedy=only.remedy, code=only.code)
            return
        count = len(self.errors)
        head = ngettext("{count} setting is wrong.", "{count} settings are wrong.", count).format(count=count)
        texts = [str(error).removeprefix(f"{place}: ") for error in self.errors]
        lines = " ".join(f"({number}) {text}" for number, text in enumerate(texts, start=1))
        super().__init__(f"{head} {lines}", place=place, code="config.several")


def validated(data: Mapping[str, Any], place: str = "") -> Config:
    """A configuration from plain data, types checked strictly (no text for a number, no 1 for true).

    Raises:
        ConfigErrors: one error for each unknown key and each wrong value.
    """
    try:
        return Config.model_validate(dict(data), strict=True)
    except ValidationError as error:
        raise ConfigErrors([_translated(dict(item), place) for item in error.errors()], place=place) from None


def wrong_value(spec: FieldSpec, key: str, value: object, place: str = "") -> UserError:
    """The error for a ``value`` that the setting does not allow."""
    return UserError(
        _("{value} is not allowed; {title} must be {allowed}.").format(
            value=shown(value), title=_(spec.option.title), allowed=allowed_text(spec)
        ),
        place=joined(place, key),
        code="config.value",
    )


def unknown_key(key: str, place: str = "") -> UserError:
    """The error for a key that no setting has, with the one that was probably meant."""
    section, _dot, name = key.rpartition(".")
    section = ".".join(part for part in section.split(".") if not part.isdecimal())
    return UserError(
        _("{name} is no known setting.").format(name=plain(name, limit=60)),
        place=joined(place, plain(key, limit=120)),
        remedy=_suggestion(section, name),
        code="config.unknown_key",
    )


def shown(value: object) -> str:
    """A value as the file would have it, cut and cleaned for a message."""
    told = isinstance(value, (str, bool, list)) and _dumps(value)
    return plain(json.dumps(value, ensure_ascii=False) if told else setting_number(value), limit=60)


def joined(place: str, key: str) -> str:
    """File and field as one place."""
    return f"{place}: {key}" if place and key else place or key


def _dumps(value: object) -> bool:
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return False
    return True


def _translated(item: Mapping[str, Any], place: str) -> UserError:
    loc, value = item["loc"], item["input"]
    key = ".".join(str(part) for part in loc)
    if item["type"] == "extra_forbidden":
        return unknown_key(key, place)
    spec = field_for(key)
    if spec is not None:
        return wrong_value(spec, key, value, place)
    return UserError(
        _("{value} is not allowed here; write a table {form}.").format(
            value=shown(value), form=_table_form(str(loc[0]))
        ),
        place=joined(place, key),
        code="config.table",
    )


def _table_form(section: str) -> str:
    repeated = any(spec.name == section and spec.repeated for spec in sections())
    return f"[[{section}]]" if repeated else f"[{section}]"


def _suggestion(section: str, name: str) -> str:
    meant = _meant(section, name)
    if meant:
        return _("Did you mean {name}?").format(name=meant)
    here = [spec.name for spec in fields() if spec.section == section] or [spec.name for spec in sections()]
    return _("Known here: {names}.").format(names=", ".join(here))


def _meant(section: str, name: str) -> str:
    lower = name.lower().replace("-", "_")
    here = [spec for spec in fields() if spec.section == section]
    for spec in [*here, *fields()]:
        if lower in (spec.name, *spec.option.peers):
            return spec.key
    own, all_names = _names(here), _names(fields())
    if not section:
        own |= {spec.name: f"[{spec.name}]" for spec in sections()}
    for names in (own, own | {name: key for name, key in all_names.items() if name not in own}):
        close = difflib.get_close_matches(lower, names, n=1, cutoff=0.7)
        if close:
            return names[close[0]]
    return ""


def _names(specs: Sequence[FieldSpec]) -> dict[str, str]:
    """Every name that the settings go by, here and elsewhere; a setting's own name wins over another's peer."""
    peers = {peer: spec.key for spec in reversed(specs) for peer in spec.option.peers}
    return peers | {spec.name: spec.key for spec in reversed(specs)}
