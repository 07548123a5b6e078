"""Two configurations beside each other: which settings differ, and what each says. Knows no torch."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from lora_tui.config.fields import sections
from lora_tui.config.mistakes import shown
from lora_tui.config.schema import Config
from lora_tui.text import _


@dataclass(frozen=True)
class Difference:
    """A setting that two configurations give different values; none where one has no such entry of a list.

    Attributes:
        key: ``network.rank``, ``samples.0.prompt``.
        here, there: the values.
    """

    key: str
    here: Any
    there: Any

    @property
    def here_text(self) -> str:
        """The value here as words, safe to show."""
        return _text(self.here)

    @property
    def there_text(self) -> str:
        """The value there as words, safe to show."""
        return _text(self.there)


def differences(here: Config, there: Config) -> list[Difference]:
    """The settings in which two configurations differ, in the order of the schema; entries of lists one by one."""
    found: list[Difference] = []
    for section in sections():
        one, other = getattr(here, section.name), getattr(there, section.name)
        pairs = [("", one, other)]
        if section.repeated:
            pairs = [(f".{number}", *both) for number, both in enumerate(zip_longest(one, other))]
        for number, first, second in pairs:
            for spec in section.fields:
                values = getattr(first, spec.name, None), getattr(second, spec.name, None)
                if values[0] != values[1] and not (None in values and spec.default in values):
                    found.append(Difference(f"{section.name}{number}.{spec.name}", *values))
    return found


def _text(value: Any) -> str:
    return _("none") if value is None or value in ("", []) else shown(value)
