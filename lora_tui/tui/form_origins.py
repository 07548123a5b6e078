"""Where the values of a form came from: the default, the file, a preset, or an edit. Knows no widget."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from lora_tui.config.fields import FieldSpec, fields, value_of
from lora_tui.config.schema import Config
from lora_tui.text import _, plain

Kind = Literal["default", "file", "preset", "edited", "project"]


@dataclass(frozen=True)
class Origin:
    """Where a value came from; ``name`` is the title of a preset."""

    kind: Kind
    name: str = ""

    @property
    def word(self) -> str:
        """One word beside the value; nothing for a default."""
        words = {"default": "", "file": _("file"), "preset": _("preset"), "edited": _("edited")}
        return words.get(self.kind, _("project"))

    @property
    def sentence(self) -> str:
        """The whole of it, for the reading view."""
        return {
            "default": _("The value is the default."),
            "file": _("The value is from the file."),
            "preset": _("The value is from the preset {name}.").format(name=plain(self.name)),
            "edited": _("The value was edited here and is not saved yet."),
        }.get(self.kind, _("The value is from the project."))


EDITED = Origin("edited")


class Origins:
    """Remembers which value of a setting came from where, so that undo and redo find it again."""

    def __init__(self, *, of_file: bool) -> None:
        self._begun: Kind = "file" if of_file else "project"
        self._known: dict[tuple[str, str], Origin] = {}

    def changed(self, before: Config, after: Config, origin: Origin) -> None:
        """An edit or a preset gave some settings other values."""
        for key, value in _values(after):
            if _value(before, key) != value:
                self._known[key, repr(value)] = origin

    def from_preset(self, values: Mapping[str, Any], title: str) -> None:
        """A preset was taken: also what was so before is now its choice."""
        for key, value in values.items():
            self._known[key, repr(value)] = Origin("preset", title)

    def saved(self) -> None:
        """What was edited stands in the file now."""
        self._begun = "file"
        self._known = {key: origin for key, origin in self._known.items() if origin.kind != "edited"}

    def of(self, key: str, spec: FieldSpec, value: Any) -> Origin:
        """Where the value that a setting has now came from."""
        known = self._known.get((key, repr(value)))
        if known is not None and not (known.kind == "edited" and value == spec.default):
            return known
        return Origin("default") if value == spec.default else Origin(self._begun)


def _values(config: Config) -> Iterable[tuple[str, Any]]:
    for spec in fields():
        if not spec.repeated:
            yield spec.key, value_of(config, spec.key)
            continue
        for number in range(len(getattr(config, spec.section))):
            key = f"{spec.section}.{number}.{spec.name}"
            yield key, value_of(config, key)


def _value(config: Config, key: str) -> Any:
    try:
        return value_of(config, key)
    except KeyError:
        return None
