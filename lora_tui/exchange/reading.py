"""Files of other programs, within bounds: a hostile one ends in one line, whatever it claims to be.

YAML is read by PyYAML's safe loader alone, after its events were counted: aliases that unfold to millions of values,
nesting that ends in Python's own limits and documents of endless lists are refused before anything is built.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lora_tui.errors import UserError
from lora_tui.files import open_file
from lora_tui.text import _, plain
from lora_tui.toml_files import TomlError, parse_toml

MOST_BYTES = 16_000_000
MOST_YAML_BYTES = 1_000_000
MOST_LEVELS = 64
MOST_VALUES = 200_000
MOST_ALIASES = 100
_MARKS = ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
"""How PowerShell begins a file."""


def read_bytes(path: Path) -> bytes:
    """The content of the file ``path``.

    Raises:
        UserError: it is not there, cannot be read or is too large.
    """
    try:
        with open_file(path) as file:
            raw = file.read(MOST_BYTES + 1)
    except OSError as error:
        reason = error.strerror or str(error)
        raise refused(path, _("The file cannot be read: {reason}.").format(reason=plain(reason))) from None
    if len(raw) > MOST_BYTES:
        raise refused(path, _("The file is larger than {size} MB.").format(size=MOST_BYTES // 1_000_000))
    return raw


def text_of(path: Path, raw: bytes) -> str:
    """The text that ``raw``, the content of ``path``, is.

    Raises:
        UserError: it is none.
    """
    encoding = next((name for mark, name in _MARKS if raw.startswith(mark)), "utf-8-sig")
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError:
        try:
            text = raw.decode("gb18030") if b"\0" not in raw else "\0"
        except UnicodeDecodeError:
            text = "\0"
    if "\0" in text:
        raise refused(path, _("The file is no text."))
    return text


def read_json(path: Path, text: str, twice: list[str] | None = None) -> dict[str, Any]:
    """A JSON object; ``twice`` is given the keys that stand in one object more than once.

    Raises:
        UserError: it is none, or beyond the bounds.
    """

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if twice is not None and len(found) < len(pairs):
            seen: set[str] = set()
            twice.extend(name for name, _value in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        return found

    try:
        data = json.loads(text, object_pairs_hook=once)
    except RecursionError:
        raise _deep(path) from None
    except ValueError as error:
        raise refused(path, _("It is no valid JSON: {reason}.").format(reason=plain(str(error), limit=120))) from None
    if not isinstance(data, dict):
        raise refused(path, _("It holds no settings: a table was expected."))
    _bounded(path, data)
    return data


def read_toml_text(path: Path, text: str) -> dict[str, Any]:
    """A TOML document.

    Raises:
        UserError: it is none, or beyond the bounds.
    """
    try:
        return parse_toml(text)
    except TomlError as error:
        raise refused(path, _("It is no valid TOML: {reason}.").format(reason=error)) from None


def read_yaml(path: Path, text: str) -> dict[str, Any]:
    """A YAML document with one table.

    Raises:
        UserError: it is none, or beyond the bounds.
    """
    import yaml

    if len(text) > MOST_YAML_BYTES:
        raise refused(path, _("The file is larger than {size} MB.").format(size=MOST_YAML_BYTES // 1_000_000))
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        _count(path, yaml.parse(text, Loader=loader))
        data = yaml.load(text, Loader=loader)
    except RecursionError:
        raise _deep(path) from None
    except (yaml.YAMLError, ValueError) as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        reason = plain(", ".join(lines[:2]), limit=160)
        raise refused(path, _("It is no valid YAML: {reason}.").format(reason=reason)) from None
    if not isinstance(data, dict):
        raise refused(path, _("It holds no settings: a table was expected."))
    _bounded(path, data)
    return data


def _count(path: Path, events: Iterator[Any]) -> None:
    import yaml

    level = aliases = 0
    for count, event in enumerate(events):
        level += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        aliases += isinstance(event, yaml.AliasEvent)
        if level > MOST_LEVELS:
            raise _deep(path)
        if aliases > MOST_ALIASES or count > MOST_VALUES:
            raise _large(path)


def _bounded(path: Path, data: Any) -> None:
    """Refuse what is too deep, or too much when it is walked through: aliases count as often as they stand."""
    waiting: list[tuple[Any, int]] = [(data, 0)]
    seen = 0
    while waiting:
        value, level = waiting.pop()
        seen += 1
        if level > MOST_LEVELS:
            raise _deep(path)
        if seen > MOST_VALUES:
            raise _large(path)
        if isinstance(value, dict):
            waiting += [(one, level + 1) for one in value.values()]
        elif isinstance(value, list):
            waiting += [(one, level + 1) for one in value]


def flat(data: dict[str, Any], above: str = "") -> dict[str, Any]:
    """Tables within tables as one, with dotted keys; lists stay, and keys that are no texts become some."""
    found: dict[str, Any] = {}
    for name, value in data.items():
        key = f"{above}.{name}" if above else str(name)
        if isinstance(value, dict) and value:
            found.update(flat(value, key))
        else:
            found[key] = value
    return found


def refused(path: Path, message: str, remedy: str = "") -> UserError:
    """The one line that a file ends in which is not what it claims to be."""
    return UserError(message, place=plain(str(path)), remedy=remedy, code="exchange.file")


def _deep(path: Path) -> UserError:
    return refused(path, _("Something is nested more than {levels} levels deep.").format(levels=MOST_LEVELS))


def _large(path: Path) -> UserError:
    return refused(path, _("It unfolds to more than {count} values.").format(count=f"{MOST_VALUES:,}"))
