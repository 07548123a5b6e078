"""Reading a configuration: from a TOML file, from plain data, from one ``key=value``.

Nothing passes silently: an unknown key, a wrong type and a value out of range are errors, all of them
reported at once. Writing is :mod:`lora_tui.config.write`, offered here as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

from lora_tui.config.family import usual_sample
from lora_tui.config.fields import FieldSpec, field_for
from lora_tui.config.lists import read_list
from lora_tui.config.mistakes import ConfigErrors, joined, unknown_key, validated, wrong_value
from lora_tui.config.paths import absolute, changed_places, flaws, map_places
from lora_tui.config.prompt_lines import has_flags, is_told, values_of
from lora_tui.config.schema import SCHEMA_VERSION, Config, as_plain
from lora_tui.config.write import dump_config, save_config
from lora_tui.errors import UserError
from lora_tui.text import _, plain
from lora_tui.toml_files import TomlError, read_toml

__all__ = [
    "SWEEP",
    "ConfigErrors",
    "dump_config",
    "load_config",
    "load_tables",
    "parse_config",
    "put_values",
    "read_value",
    "save_config",
    "set_value",
    "set_values",
]

SWEEP = "sweep"
"""The table of a file that describes several runs, see :mod:`lora_tui.sweeps.axes`; one run has none."""

_TRUE = ("true", "yes", "on", "1")
_FALSE = ("false", "no", "off", "0")


def load_config(path: Path) -> Config:
    """The configuration in the TOML file ``path``; relative places count from the file's folder.

    Raises:
        UserError: the file is missing, unreadable, no TOML, or from a newer version.
        ConfigErrors: keys are unknown or values wrong.
    """
    return parse_config(load_tables(path), base=path.parent, place=plain(str(path)))


def load_tables(path: Path) -> dict[str, Any]:
    """What the TOML file ``path`` holds, as it is written there.

    Raises:
        UserError: the file is missing, unreadable or no TOML.
    """
    place = plain(str(path))
    try:
        return read_toml(path)
    except FileNotFoundError as error:
        raise UserError(
            _("There is no such file."),
            place=place,
            remedy=_("lora-tui config new makes a configuration."),
            code="config.missing",
        ) from error
    except UnicodeDecodeError as error:
        raise UserError(
            _("The file is not UTF-8 text (byte {position}).").format(position=error.start),
            place=place,
            remedy=_("Save it as UTF-8."),
            code="config.encoding",
        ) from error
    except TomlError as error:
        raise UserError(
            _("The file is not valid TOML: {reason}.").format(reason=error),
            place=place,
            remedy=_("Texts need quotes, each setting its own line."),
            code="config.syntax",
        ) from error
    except OSError as error:
        raise UserError(
            _("The file cannot be read: {reason}.").format(reason=error.strerror or error),
            place=place,
            code="config.unreadable",
        ) from error


def parse_config(data: Mapping[str, Any], *, base: Path | None = None, place: str = "") -> Config:
    """The configuration in plain ``data`` (what a TOML reader gives); what is left out has its default.

    ``base`` is the folder that relative places count from (None leaves them), ``place`` names the file
    in errors.

    Raises:
        UserError: ``data`` is from a newer version.
        ConfigErrors: keys are unknown or values wrong.
    """
    _check_version(data.get("schema_version", SCHEMA_VERSION), place)
    if SWEEP in data:
        raise UserError(
            _("The file has a table [sweep]: it describes several runs, and here one is meant."),
            place=place,
            remedy=_("lora-tui sweep FILE or the app (F4, o) starts them; without the table the file is one run."),
            code="config.sweep",
        )
    own = deepcopy(dict(data))
    if base is not None:
        folder = base
        map_places(own, lambda text, model: absolute(text, folder, model=model))
    return _placed(validated(own, place), place)


def set_value(config: Config, key: str, text: str, *, base: Path | None = None) -> Config:
    """``config`` with the setting ``key`` read from ``text``, as in ``--set network.rank=64``.

    List entries are counted from 0 (``samples.0.prompt``); the number after the last adds an entry. Texts
    of a list are separated by commas, see :mod:`lora_tui.config.lists`; flags behind a prompt, as sd-scripts writes
    them, set what they name. Relative places count from ``base``, else from the current folder.

    Raises:
        UserError: the key is unknown, the entry is not there, or the value is not allowed.
    """
    return put_values(config, {key: read_value(key, text)}, base=base)


def read_value(key: str, text: str) -> Any:
    """The value that ``text`` is for the setting ``key``, of the type that the setting has.

    Raises:
        UserError: the key is unknown, or the text is no value of that type.
    """
    return _read(_setting(key), key, text)


def put_values(config: Config, values: Mapping[str, Any], *, base: Path | None = None) -> Config:
    """``config`` with typed ``values``, key -> value, put in, in their order; else as :func:`set_value`.

    Raises:
        UserError: a key is unknown, an entry is not there, or a value is not allowed.
    """
    data = as_plain(config)
    for key, value in values.items():
        spec = _setting(key)
        if spec.option.path:
            folder, model = base or Path.cwd(), spec.option.path == "model"
            value = changed_places(value, partial(_from, folder, model))
        table = data[spec.section]
        if spec.repeated:
            new = usual_sample(config) if spec.section == "samples" else {}
            table = _entry(table, spec, key, int(key.split(".")[1]), new)
        table[spec.name] = value
        if spec.key == "samples.prompt" and isinstance(value, str) and has_flags(value):
            table.update(values_of(value, told=is_told(config)))
    return _placed(validated(data))


def _from(folder: Path, model: bool, text: str) -> str:
    return absolute(text, folder, model=model)


def _setting(key: str) -> FieldSpec:
    """The setting that ``key`` names, with the number of its entry where it is in a list."""
    spec = field_for(key)
    if spec is None:
        raise unknown_key(key)
    parts = key.split(".")
    if len(parts) != (3 if spec.repeated else 2) or (spec.repeated and not parts[1].isdecimal()):
        raise _needs_number(spec, key)
    return spec


def set_values(config: Config, texts: Iterable[str]) -> Config:
    """``config`` with each ``key=value`` of ``--set`` in order; relative places count from the current folder.

    Raises:
        UserError: a text has no ``=``, or :func:`set_value` refuses it; all that are wrong are named.
    """
    wrong: list[UserError] = []
    for text in texts:
        key, equals, value = text.partition("=")
        try:
            if not equals:
                raise UserError(
                    _("{text} is no KEY=VALUE.").format(text=plain(text, limit=60)),
                    place="--set",
                    remedy=_("Write it like this: --set network.rank=64"),
                    code="usage",
                )
            config = set_value(config, key.strip(), value)
        except ConfigErrors as errors:
            wrong.extend(errors.errors)
        except UserError as error:
            wrong.append(error)
    if wrong:
        raise ConfigErrors(wrong)
    return config


def _placed(config: Config, place: str = "") -> Config:
    """``config`` when its places can exist at all; whether they do is for the check to say."""
    errors = [
        UserError(message, place=joined(place, key), remedy=_("Give another path."), code="config.path")
        for key, message in flaws(as_plain(config))
    ]
    if errors:
        raise ConfigErrors(errors, place=place)
    return config


def _check_version(version: object, place: str) -> None:
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise UserError(
            _("schema_version must be a whole number from 1 to {newest}.").format(newest=SCHEMA_VERSION),
            place=place,
            code="config.version",
        )
    if version > SCHEMA_VERSION:
        raise UserError(
            _("The configuration is from a newer version of lora-tui (format {found}, known up to {known}).").format(
                found=version, known=SCHEMA_VERSION
            ),
            place=place,
            remedy=_("Upgrade lora-tui."),
            code="config.newer_version",
        )


def _needs_number(spec: FieldSpec, key: str) -> UserError:
    return UserError(
        _("{section} is a list; say which entry.").format(section=spec.section)
        if spec.repeated
        else _("{section} is no list.").format(section=spec.section),
        place=plain(key, limit=120),
        remedy=_("Write {example}.").format(
            example=f"{spec.section}.0.{spec.name}" if spec.repeated else spec.key,
        ),
        code="config.entry",
    )


def _entry(
    entries: list[dict[str, Any]], spec: FieldSpec, key: str, number: int, new: dict[str, Any]
) -> dict[str, Any]:
    if number > len(entries):
        raise UserError(
            _("There is no entry {number}; the next new one is {next}.").format(number=number, next=len(entries)),
            place=key,
            code="config.entry",
        )
    if number == len(entries):
        entries.append(new)
    return entries[number]


def _read(spec: FieldSpec, key: str, text: str) -> Any:
    stripped = text.strip()
    try:
        if spec.kind == "int":
            return int(stripped)
        if spec.kind == "float":
            return float(stripped)
        if spec.kind == "bool":
            return _read_bool(stripped)
        if spec.kind == "choice":
            return next(choice for choice in spec.choices if str(choice) == stripped)
    except (ValueError, StopIteration) as error:
        raise ConfigErrors([wrong_value(spec, key, text)]) from error
    if spec.kind == "list":
        return read_list(text, of_rules=spec.key == "network.layers")
    return text


def _read_bool(text: str) -> bool:
    if text.lower() in _TRUE:
        return True
    if text.lower() in _FALSE:
        return False
    raise ValueError(text)
