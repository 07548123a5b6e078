"""Presets: small TOML files that change a few settings for a purpose, a base model or the memory of a card.

Those that ship lie in ``assets/presets``, a person's own in ``presets`` of the configuration folder; one
of the same name replaces the shipped one. Presets of different kinds can be applied one after the other.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import tomli_w

from lora_tui.config.family import with_family
from lora_tui.config.fields import sections
from lora_tui.config.mistakes import ConfigErrors, validated
from lora_tui.config.schema import Config, as_plain
from lora_tui.errors import UserError
from lora_tui.families import FAMILIES
from lora_tui.files import write_atomic
from lora_tui.settings import config_dir
from lora_tui.text import _, language, plain
from lora_tui.toml_files import read_toml

SHIPPED = Path(__file__).resolve().parent.parent / "assets" / "presets"
KINDS = ("purpose", "base", "memory")
_TEXTS = ("title", "description", "kind", "family")
_KEYS = frozenset((*_TEXTS, "purposes", "memory_gb", "settings", "zh_CN"))


@dataclass(frozen=True)
class Preset:
    """A named set of changes.

    Attributes:
        name: of its file, ``sd15-character``.
        title, description: in the current language where the file has it.
        kind: ``purpose`` (what is trained), ``base`` (which model of its family it is trained on) or ``memory``
            (what the card holds).
        family: the model family that it is for.
        purposes: the purposes of projects that it fits.
        memory_gb: the least memory of a card in GB for kind ``memory``, else 0.
        settings: section to setting to value, only what it changes.
        own: whether it is the person's own.
    """

    name: str
    title: str
    description: str
    kind: str
    family: str
    purposes: tuple[str, ...]
    memory_gb: float
    settings: Mapping[str, Mapping[str, Any]]
    own: bool

    @property
    def values(self) -> dict[str, Any]:
        """The changes by dotted key: ``network.rank`` to 32."""
        return {f"{section}.{name}": value for section, table in self.settings.items() for name, value in table.items()}


def list_presets(*, family: str = "", purpose: str = "") -> tuple[Preset, ...]:
    """Presets that can be read, purposes first, cards by memory; only those that fit, where something is given."""
    found = [
        preset
        for preset in load_presets()[0]
        if (not family or preset.family == family) and (not purpose or purpose in preset.purposes)
    ]
    order = {name: place for place, name in enumerate(FAMILIES)}

    def rank(preset: Preset) -> tuple[int, float, int, str]:
        return KINDS.index(preset.kind), preset.memory_gb, order.get(preset.family, len(order)), preset.name

    return tuple(sorted(found, key=rank))


def load_presets() -> tuple[tuple[Preset, ...], tuple[UserError, ...]]:
    """All presets that can be read, and an error for each file that cannot: one bad file spoils no other.

    A file is read again only when it has changed: those that ship are a hundred.
    """
    loaded: dict[str, Preset] = {}
    failed: list[UserError] = []
    for folder, own in ((SHIPPED, False), (own_presets(), True)):
        for name, stamp in _files_in(folder):
            found = _read_once(folder / name, stamp, own, language())
            if isinstance(found, Preset):
                loaded[found.name] = found
            else:
                failed.append(found)
    return tuple(loaded.values()), tuple(failed)


def own_presets() -> Path:
    """The folder of a person's own presets, which may not exist."""
    return config_dir() / "presets"


def _files_in(folder: Path) -> list[tuple[str, tuple[int, int]]]:
    """The presets' files, sorted, each with what changes when it is written."""
    found = []
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                if entry.name.endswith(".toml") and entry.is_file():
                    facts = entry.stat()
                    found.append((entry.name, (facts.st_mtime_ns, facts.st_size)))
    return sorted(found)


@lru_cache(maxsize=1024)
def _read_once(path: Path, _stamp: tuple[int, int], own: bool, _language: str) -> Preset | UserError:
    try:
        return read_preset(path, own=own)
    except UserError as error:
        return error


def save_preset(
    config: Config, name: str, *, title: str = "", description: str = "", purpose: str = "", replace: bool = False
) -> Path:
    """Write what ``config`` changes of its family's defaults as a preset of the person's own; return its file.

    Places, names, prompts and folders belong to a project and are left out.

    Raises:
        UserError: the name is none, there is such a preset already, nothing is changed, or it cannot be written.
    """
    stem = name.strip()
    path = own_presets() / f"{stem}.toml"
    if not stem or stem != path.stem or not all(one.isalnum() or one in "-_." for one in stem) or stem[0] in ".-":
        raise UserError(
            _("A preset's name has letters, digits, - and _."),
            place=plain(name, limit=60),
            remedy=_("Give it a name."),
            code="preset.name",
        )
    if not replace and path.exists():
        raise UserError(
            _("There is a preset of this name already."),
            place=plain(str(path)),
            remedy=_("Choose another name."),
            code="preset.exists",
        )
    settings = _changes(config)
    if not settings:
        raise UserError(
            _("Nothing differs from the defaults: there is nothing to keep."), place=stem, code="preset.nothing"
        )
    data: dict[str, Any] = {
        "title": title or stem,
        "description": description or _("Saved from the form."),
        "kind": "purpose",
        "purposes": [purpose] if purpose else [],
        "family": config.model.family,
        "settings": settings,
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, tomli_w.dumps(data).encode())
    except OSError as error:
        raise UserError(
            _("The preset cannot be written: {reason}.").format(reason=error.strerror or error),
            place=plain(str(path)),
            code="preset.unwritable",
        ) from error
    return path


#: Settings that belong to a project, or to a file of it, and not to a preset.
OF_PROJECT = frozenset(("saving.name", "saving.title", "saving.comment", "saving.trigger", "model.family"))


def _changes(config: Config) -> dict[str, dict[str, Any]]:
    """Section to setting to value: what a preset of this configuration would say."""
    usual, found = with_family(Config(), config.model.family), dict[str, dict[str, Any]]()
    for section in sections():
        if section.repeated:
            continue
        for spec in section.fields:
            value = getattr(getattr(config, section.name), spec.name)
            theirs = spec.option.path or spec.key in OF_PROJECT
            if not theirs and value != getattr(getattr(usual, section.name), spec.name):
                found.setdefault(section.name, {})[spec.name] = value
    return found


def find_preset(name: str, *, family: str = "") -> Preset:
    """The preset called ``name``, with or without its family in front (``character``, ``sd15-character``).

    Without its family, the one for ``family``; with it, the one that is meant, whatever that is for.

    Raises:
        UserError: there is none.
    """
    presets = list_presets(family=family)
    for preset in (*presets, *(list_presets() if family else ())):
        short = preset.name.removeprefix(f"{preset.family}-") if not family or preset.family == family else ""
        if name in (preset.name, short):
            return preset
    raise UserError(
        _("There is no preset {name}.").format(name=plain(name, limit=60)),
        place="--preset",
        remedy=_("Choose one of: {names}.").format(names=", ".join(preset.name for preset in presets)),
        code="preset.missing",
    )


def apply_preset(config: Config, preset: Preset) -> Config:
    """``config`` with the preset's settings; everything else stays as it is.

    Raises:
        UserError: the preset is for another family.
    """
    if preset.family != config.model.family:
        raise UserError(
            _("The preset is for {family}, the configuration for {other}.").format(
                family=preset.family, other=config.model.family
            ),
            place=preset.name,
            remedy=_("Choose a preset of the same family."),
            code="preset.family",
        )
    data = as_plain(config)
    for section, table in preset.settings.items():
        data[section].update(table)
    return validated(data, preset.name)


def read_preset(path: Path, *, own: bool = False) -> Preset:
    """The preset in the file ``path``.

    Raises:
        UserError: the file cannot be read, has unknown keys, or sets something that no configuration has.
    """
    place = plain(str(path))
    try:
        data = read_toml(path)
    except OSError as error:
        raise _bad(place, error.strerror or str(error)) from error
    except ValueError as error:
        raise _bad(place, plain(str(error), limit=120)) from error
    unknown = sorted(set(data) - _KEYS)
    if unknown:
        raise _bad(place, _("unknown key {name}").format(name=plain(unknown[0], limit=60)))
    return _preset(data, path.stem, place, own)


def _preset(data: Mapping[str, Any], name: str, place: str, own: bool) -> Preset:
    for key in _TEXTS:
        if not isinstance(data.get(key), str):
            raise _bad(place, _("{name} must be a text in quotes").format(name=key))
    if data["kind"] not in KINDS:
        raise _bad(place, _("kind must be one of {choices}").format(choices=", ".join(KINDS)))
    purposes, memory, own_words = data.get("purposes", []), data.get("memory_gb", 0), data.get(language(), {})
    if not isinstance(purposes, list) or not all(isinstance(purpose, str) for purpose in purposes):
        raise _bad(place, _("{name} must be a list of texts").format(name="purposes"))
    if isinstance(memory, bool) or not isinstance(memory, (int, float)):
        raise _bad(place, _("{name} must be a number").format(name="memory_gb"))
    settings = _checked_settings(data.get("settings", {}), place)
    words = {**data, **{key: value for key, value in _table(own_words).items() if isinstance(value, str)}}
    return Preset(
        name=name,
        title=plain(words["title"]),
        description=plain(words["description"]),
        kind=data["kind"],
        family=data["family"],
        purposes=tuple(purposes),
        memory_gb=float(memory),
        settings=settings,
        own=own,
    )


def _checked_settings(settings: object, place: str) -> dict[str, dict[str, Any]]:
    """The settings, proved by applying them to the defaults; a list of datasets or samples is no setting."""
    tables = _table(settings)
    for section in ("datasets", "samples", "schema_version"):
        if section in tables:
            raise _bad(place, _("a preset sets no {name}").format(name=section))
    try:
        validated(tables, place)
    except ConfigErrors as error:
        raise error.errors[0] from None
    return {section: dict(table) for section, table in tables.items()}


def _table(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _bad(place: str, reason: str) -> UserError:
    return UserError(
        _("The preset cannot be used: {reason}.").format(reason=reason),
        place=place,
        remedy=_("Fix the file or remove it."),
        code="preset.bad",
    )
