"""A configuration while it comes about from another program's keys, and what became of each of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from lora_tui.config.fields import FieldSpec, allowed_text, field_for, sections
from lora_tui.config.load import parse_config
from lora_tui.config.schema import Config, DatasetEntry, SamplePrompt, as_plain
from lora_tui.exchange.fate import Fate, Imported, Row, told_value
from lora_tui.places import flaw
from lora_tui.text import N_, _

EMPTY = N_("left empty")
ENTRIES: Mapping[str, type[DatasetEntry] | type[SamplePrompt]] = {"datasets": DatasetEntry, "samples": SamplePrompt}


class Given:
    """The keys of a file with their values, some of which may stand for its program's defaults.

    A key that is empty (none, or no text) counts as not given.
    """

    def __init__(self, values: Mapping[str, Any], implied: Mapping[str, Any] | None = None) -> None:
        self.told = dict(values)
        self.implied = {key: value for key, value in (implied or {}).items() if is_empty(values.get(key))}
        self._all = {**self.told, **self.implied}

    def __contains__(self, key: str) -> bool:
        """Whether the file itself says something of ``key``."""
        return not is_empty(self.told.get(key))

    def get(self, key: str, default: Any = None) -> Any:
        """The value, that of its program's defaults counted, else ``default``."""
        value = self._all.get(key)
        return default if is_empty(value) else value

    def unfold(self, key: str, inner: Mapping[str, Any]) -> None:
        """Put what stands within ``key`` in its place, as ``key.name``."""
        if key not in self.told:
            return
        told: dict[str, Any] = {}
        for name, value in self.told.items():
            told.update({f"{key}.{one}": it for one, it in inner.items()} if name == key and inner else {name: value})
        self.told = told
        self._all = {**told, **self.implied}

    def on(self, key: str) -> bool:
        """Whether a switch is on; ``"false"``, ``"0"`` and ``"None"`` are off."""
        return is_on(self.get(key))

    def first(self, *keys: str) -> str:
        """The first of ``keys`` that has a value, else the last."""
        return next((key for key in keys if not is_empty(self._all.get(key))), keys[-1])


class Draft:
    """Settings as they come about. Every method that takes a key of the file tells what becomes of it."""

    def __init__(self, given: Given, onto: Config | None = None) -> None:
        self.given = given
        self.config = (onto or Config()).model_copy(deep=True)
        self.notes: list[str] = []
        self._rows: dict[str, Row] = {}
        self._implied: dict[str, Any] = {}

    def take(self, key: str, settings: Mapping[str, Any], note: str = "") -> bool:
        """Set ``settings`` from the key; taken where its one setting has the very value, else translated.

        False, and not understood, where a setting does not allow its value.
        """
        if key not in self.given:
            for setting, value in settings.items():
                if not self.try_to_put(setting, value):
                    return False
                self._implied[setting] = value_at(self.config, setting)
            return True
        told = self.given.told.get(key)
        try:
            for setting, value in settings.items():
                self.put(setting, value)
        except ValueError as error:
            self.unknown(key, note=str(error))
            return False
        now = {setting: value_at(self.config, setting) for setting in settings}
        same = len(now) == 1 and not note and alike(told, next(iter(now.values())))
        self._add(key, Fate.TAKEN if same else Fate.TRANSLATED, now, note)
        return True

    def straight(self, table: Mapping[str, str]) -> None:
        """Take every given key of ``table`` to its setting, as it is."""
        for key, setting in table.items():
            if key in self.given or key in self.given.implied:
                value = self.given.get(key)
                self.take(key, {setting: is_on(value) if _kind(setting) == "bool" else value})

    def put(self, setting: str, value: Any) -> None:
        """Set one setting; numbers may be texts.

        Raises:
            ValueError: it is not allowed; the message says what is.
        """
        section, _dot, name = setting.partition(".")
        spec = field_for(setting)
        assert spec is not None, setting
        try:
            value = _fitting(spec, value)
            setattr(getattr(self.config, section), name, value)
        except (ValidationError, ValueError, TypeError, OverflowError):
            raise ValueError(
                _("{setting} must be {allowed}").format(setting=setting, allowed=allowed_text(spec))
            ) from None

    def try_to_put(self, setting: str, value: Any) -> bool:
        """Set one setting where it allows the value; else the report has a note of it."""
        try:
            self.put(setting, value)
        except ValueError as error:
            self.notes.append(str(error))
            return False
        return True

    def entry(self, section: str, key: str, values: Mapping[str, Any], note: str = "") -> bool:
        """Add an entry to ``datasets`` or ``samples``; what a value does not allow is told and left out."""
        kept: dict[str, Any] = {}
        wrong: list[str] = []
        for name, value in values.items():
            try:
                one = _fitting(_spec(f"{section}.{name}"), value)
                ENTRIES[section].model_validate({name: one})
                kept[name] = one
            except (ValidationError, ValueError, TypeError, OverflowError):
                allowed = allowed_text(_spec(f"{section}.{name}"))
                wrong.append(_("{setting} must be {allowed}").format(setting=f"{section}.{name}", allowed=allowed))
        getattr(self.config, section).append(ENTRIES[section](**kept))
        number = len(getattr(self.config, section)) - 1
        told = {f"{section}.{number}.{name}": value for name, value in kept.items()}
        if wrong:
            self.unknown(key, note="; ".join(wrong))
        elif key:
            self._add(key, Fate.TRANSLATED, told, note)
        return not wrong

    def idle(self, keys: Iterable[str] | str, note: str) -> None:
        """The keys have no effect here, for this reason."""
        for key in (keys,) if isinstance(keys, str) else keys:
            if key in self.given:
                self._add(key, Fate.IDLE, {}, note)

    def unknown(self, key: str, note: str = "") -> None:
        """The key, or its value, is not understood."""
        if key in self.given:
            self._add(key, Fate.UNKNOWN, {}, note)

    def tell(self, key: str, fate: Fate, settings: Mapping[str, Any], note: str = "") -> None:
        """What became of a key, where that is known already."""
        self._add(key, fate, settings, note)

    def known(self, key: str) -> bool:
        """Whether it was told already what becomes of the key."""
        return key in self._rows

    def finished(self, kind: str, parts: Mapping[str, Sequence[str]] | None = None) -> Imported:
        """The configuration, and the fate of every key; what nobody asked for is not understood.

        ``parts``: keys that are told by others that stand within them.

        Raises:
            ConfigErrors: a place is one that nothing can have.
        """
        rows: list[Row] = []
        inner = {one for names in (parts or {}).values() for one in names}
        for key, value in self.given.told.items():
            rows += [self._rows[one] for one in (parts or {}).get(key, ()) if one in self._rows]
            if key in self._rows:
                rows.append(self._rows[key])
            elif is_empty(value):
                rows.append(Row(key, "", Fate.TAKEN, {}, _(EMPTY)))
            elif key not in (parts or {}):
                rows.append(Row(key, told_value(key, value), Fate.UNKNOWN))
        rows += [row for key, row in self._rows.items() if key not in self.given.told and key not in inner]
        ours = Config()
        told = {setting for row in rows for setting in row.settings}
        implied = {
            key: value
            for key, value in self._implied.items()
            if key not in told and value == value_at(self.config, key) != value_at(ours, key)
        }
        config = parse_config(as_plain(self.config))
        return Imported(config, kind, tuple(rows), implied, tuple(self.notes))

    def _add(self, key: str, fate: Fate, settings: Mapping[str, Any], note: str) -> None:
        before = self._rows.get(key)
        value = told_value(key, self.given.told.get(key))
        if before is None:
            self._rows[key] = Row(key, value, fate, dict(settings), note)
            return
        worst = fate if fate is Fate.UNKNOWN or before.fate is Fate.IDLE else before.fate
        notes = "; ".join(dict.fromkeys(one for one in (before.note, note) if one))
        self._rows[key] = Row(key, value, worst, {**before.settings, **settings}, notes)


def is_empty(value: object) -> bool:
    """Whether a value says nothing."""
    return value is None or (isinstance(value, (str, list, dict)) and not value) or value == "None"


def is_on(value: object) -> bool:
    """A switch as programs and shells write it."""
    if isinstance(value, str):
        return value.strip().lower() not in ("", "0", "false", "no", "off", "none", "$false")
    return bool(value)


def alike(told: object, now: object) -> bool:
    """Whether the file has the very value that the setting has now; ``"32"`` is 32."""
    if isinstance(now, bool):
        return isinstance(told, (bool, str, int)) and is_on(told) == now
    if isinstance(now, (int, float)) and isinstance(told, (int, float, str)) and not isinstance(told, bool):
        try:
            return float(told) == float(now)
        except ValueError:
            return False
    return str(told) == str(now)


def value_at(config: Config, setting: str) -> Any:
    """The value of ``section.name``."""
    section, _dot, name = setting.partition(".")
    return getattr(getattr(config, section), name)


def all_settings(config: Config) -> dict[str, Any]:
    """Every setting that is not one of an entry, by dotted key."""
    plain_one = as_plain(config)
    return {
        f"{part.name}.{s.name}": plain_one[part.name][s.name]
        for part in sections()
        if not part.repeated
        for s in part.fields
    }


def _kind(setting: str) -> str:
    return _spec(setting).kind


def _spec(setting: str) -> FieldSpec:
    spec = field_for(setting)
    assert spec is not None, setting
    return spec


def _fitting(spec: FieldSpec, value: Any) -> Any:
    """``value`` as the setting writes its values, where it can be read as one of them.

    Raises:
        ValueError, TypeError, OverflowError: it cannot.
    """
    if spec.kind == "int":
        number = float(value)
        if not number.is_integer() or isinstance(value, bool):
            raise ValueError(value)
        return int(number)
    if spec.kind == "float":
        if isinstance(value, bool):
            raise ValueError(value)
        return float(value)
    if spec.kind == "bool":
        return is_on(value)
    if spec.kind == "choice":
        return next((choice for choice in spec.choices if str(choice) == str(value)), value)
    if spec.kind == "list":
        texts = [str(one) for one in (value if isinstance(value, (list, tuple)) else [value])]
    else:
        if not isinstance(value, (str, int, float)):
            raise ValueError(value)
        texts = [str(value)]
    for text in texts:
        text.encode()  # a lone surrogate cannot be written
        if spec.option.path and flaw(text):
            raise ValueError(text)
    return texts if spec.kind == "list" else texts[0]
