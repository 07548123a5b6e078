"""What becomes of each key of another program's configuration: nothing is dropped without a word."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from lora_tui.config.schema import Config
from lora_tui.text import N_, _, plain, setting_number

SECRET = re.compile(r"(api_?keys?|token|passwords?|secrets?)\Z", re.IGNORECASE)
"""The end of a key whose value is nobody's business; ``max_token_length`` and ``keep_tokens`` are none."""
HIDDEN = "…"
SHOWN = 60
"""Characters of a value that a report shows."""


class Fate(StrEnum):
    """What becomes of a key."""

    TAKEN = "taken"
    TRANSLATED = "translated"
    IDLE = "without_effect"
    UNKNOWN = "not_understood"


FATE_WORDS: Mapping[Fate, str] = {
    Fate.TAKEN: N_("taken"),
    Fate.TRANSLATED: N_("translated"),
    Fate.IDLE: N_("without effect here"),
    Fate.UNKNOWN: N_("not understood"),
}
WORST_FIRST = (Fate.UNKNOWN, Fate.TRANSLATED, Fate.IDLE, Fate.TAKEN)


@dataclass(frozen=True)
class Row:
    """One key of the file.

    Attributes:
        key: as the file has it, dotted where it stands within something.
        value: its value as a text; that of a secret is hidden.
        fate: what becomes of it.
        settings: what it was taken to, with the new values.
        note: why, in the current language.
    """

    key: str
    value: str
    fate: Fate
    settings: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""

    def as_dict(self) -> dict[str, Any]:
        """As plain data for ``--json``."""
        told = {"key": self.key, "value": self.value, "fate": self.fate.value}
        return {**told, "settings": dict(self.settings), "note": self.note}

    @property
    def line(self) -> str:
        """As a line: ``network_dim = 32 -> network.rank = 32``."""
        text = f"{plain(self.key, limit=80)} = {plain(self.value, limit=SHOWN)}"
        if self.settings:
            now = ", ".join(f"{key} = {value_text(value)}" for key, value in self.settings.items())
            text += f" -> {now}"
        return f"{text}  ({plain(self.note, limit=300)})" if self.note else text


@dataclass(frozen=True)
class Imported:
    """A configuration that was read from another program's file.

    Attributes:
        config: what it says, in our words; places are absolute or as the file has them.
        format: the name of the kind of file, one of :data:`~lora_tui.exchange.kinds.FORMATS`.
        rows: the fate of every key, in the order of the file.
        implied: settings that the file leaves to the defaults of its program, where ours are others.
        notes: what else is to be known: contradictions, files that are not there.
    """

    config: Config
    format: str
    rows: tuple[Row, ...]
    implied: Mapping[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()

    @property
    def counts(self) -> dict[Fate, int]:
        """How many keys have which fate."""
        found = Counter(row.fate for row in self.rows)
        return {fate: found[fate] for fate in Fate}

    @property
    def summary(self) -> str:
        """``42 keys: 30 taken, 8 translated, 3 without effect here, 1 not understood``."""
        parts = [f"{count} {_(FATE_WORDS[fate])}" for fate, count in self.counts.items() if count]
        return _("{count} keys: {parts}").format(count=len(self.rows), parts=", ".join(parts) or _("none"))

    def lines(self, *, taken: bool = True) -> list[str]:
        """The report as lines, what was not understood first; ``taken``: with what was simply taken, too."""
        found = [self.summary, *(plain(note, limit=300) for note in self.notes)]
        for fate in WORST_FIRST:
            rows = [row for row in self.rows if row.fate is fate]
            if rows and (taken or fate is not Fate.TAKEN):
                found += ["", f"# {_(FATE_WORDS[fate])}", *(row.line for row in rows)]
        if self.implied:
            found += ["", "# " + _("not in the file, so as its program has it by default")]
            found += [f"{key} = {value_text(value)}" for key, value in self.implied.items()]
        return found


def value_text(value: object) -> str:
    """A value of a setting as a report shows it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return plain("[" + ", ".join(str(one) for one in value) + "]", limit=SHOWN)
    return plain(setting_number(value), limit=SHOWN) or '""'


def told_value(key: str, value: object) -> str:
    """A value of the file as a report has it: cut, and hidden where the key is that of a secret."""
    if value in (None, ""):
        return ""
    if SECRET.search(key):
        return HIDDEN
    if isinstance(value, (list, tuple)) and len(value) == 1:
        value = value[0]
    text = "true" if value is True else "false" if value is False else str(value)
    return text if len(text) <= 200 else text[:199] + "…"
