"""The parameter form without its widgets: which rows there are, what they say, and what an edit does.

Drawn from the schema alone, so a new setting appears here by itself. Every edit gives a new
configuration and keeps the one before it for undo; the configuration is valid at any time, because text
that is not allowed never gets in.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, cast

from lora_tui.config.family import usual_sample, with_family, with_family_of_base
from lora_tui.config.fields import (
    FieldSpec,
    SectionSpec,
    allowed_text,
    applies,
    range_text,
    sections,
    unit_text,
    value_of,
)
from lora_tui.config.findings import Finding
from lora_tui.config.lists import list_text
from lora_tui.config.load import set_value
from lora_tui.config.presets import Preset
from lora_tui.config.schema import Config, SamplePrompt
from lora_tui.errors import UserError
from lora_tui.text import N_, _, plain, setting_number
from lora_tui.tui.cells import Cell
from lora_tui.tui.form_origins import EDITED, Origin, Origins
from lora_tui.tui.form_words import haystack, rule_text, value_text
from lora_tui.tui.marks import UNICODE, Marks

UNDO_LIMIT = 500
OPEN_ENTRIES = 3
"""Lists of at most this many folders show each with its settings; longer ones start folded."""

_ENTRY_NAMES = {"datasets": N_("folder"), "samples": N_("prompt")}
_ADD_NAMES = {"datasets": N_("add a folder of images"), "samples": N_("add a sample prompt")}


@dataclass(frozen=True)
class Group:
    """Settings that stand together: one section of the file, with the list that belongs to it before it."""

    name: str
    title: str
    sections: tuple[SectionSpec, ...]


_JOINED = frozenset(("masks", "tracking", "ending"))
"""Sections too small for a group of their own: a terminal of 24 lines shows every group."""


@cache
def groups() -> tuple[Group, ...]:
    """The groups in the order of the schema; a list joins the section that follows it, masks those of the images."""
    found: list[Group] = []
    waiting: list[SectionSpec] = []
    for section in sections():
        if section.name in _JOINED:
            last = found[-1]
            found[-1] = Group(last.name, last.title, (*last.sections, section))
            continue
        waiting.append(section)
        if not section.repeated:
            found.append(Group(section.name, section.title, tuple(waiting)))
            waiting = []
    return tuple(found)


@dataclass(frozen=True)
class FormRow:
    """One row of the form.

    Attributes:
        kind: a setting, an entry of a list, the place where an entry is added, or the heading of a group.
        key: ``network.rank``, ``samples.0.prompt``; of an entry ``samples.0``, of an adding row ``samples``,
            of a heading the group's name in brackets.
        group: the number of its group.
        spec: the setting, none for the other kinds.
    """

    kind: Literal["field", "entry", "add", "head"]
    key: str
    group: int
    spec: FieldSpec | None = None

    @property
    def section(self) -> str:
        """The name of its section."""
        return self.key.partition(".")[0]

    @property
    def entry(self) -> int:
        """The number of its list entry; -1 when it is no part of one."""
        parts = self.key.split(".")
        return int(parts[1]) if len(parts) > 1 and parts[1].isdecimal() else -1


@dataclass(frozen=True)
class _Past:
    config: Config
    what: str
    key: str = ""


class Form:
    """A configuration being edited.

    Attributes:
        config: as it is now.
        group: number of the group that is shown.
        expert: whether the settings that few need are shown too.
        whole: whether all groups are shown one below the other.
        query: what is searched for; empty shows the group.
        only_changed: whether only the settings that differ from their defaults are shown, of all groups.
        findings: what a check said of the configuration, none before the first.
        base: folder that relative places count from.
        origins: where values came from; ``of_file``: the first configuration is that of a file.
        touched: key of the setting that was last taken back or done again; empty when it was no single one.
    """

    def __init__(self, config: Config, *, base: Path | None = None, of_file: bool = False) -> None:
        self.config = config
        self.origins = Origins(of_file=of_file)
        self.base = base
        self.group = 0
        self.expert = False
        self.whole = False
        self.query = ""
        self.only_changed = False
        self.findings: tuple[Finding, ...] | None = None
        self.touched = ""
        self._undo: list[_Past] = []
        self._redo: list[_Past] = []
        self._open: set[str] = set()
        self._full: set[str] = set()  # open entries that show what few need as well, in the expert view
        self._unfold(config)

    # -- rows

    def rows(self) -> tuple[FormRow, ...]:
        """The rows to show: of the group, or of all groups what the query finds."""
        numbers = range(len(groups()))
        if self.query:
            return self._headed((number, self._found(number)) for number in numbers)
        if self.only_changed:
            return self._headed((number, self._changed(number)) for number in numbers)
        if self.whole:
            return self._headed((number, self._rows_of(number)) for number in numbers)
        return tuple(self._rows_of(self.group))

    def _headed(self, parts: Iterable[tuple[int, Iterable[FormRow]]]) -> tuple[FormRow, ...]:
        """The rows of groups with the name of each group above them; groups without rows are left out."""
        rows: list[FormRow] = []
        for number, part in parts:
            if found := tuple(part):
                rows += (FormRow("head", f"[{groups()[number].name}]", number), *found)
        return tuple(rows)

    def _rows_of(self, number: int, *, everything: bool = False) -> Iterable[FormRow]:
        for section in groups()[number].sections:
            if not section.repeated:
                for spec in section.fields:
                    if everything or self._shown(spec, spec.key):
                        yield FormRow("field", spec.key, number, spec)
                continue
            for index in range(len(getattr(self.config, section.name))):
                entry = f"{section.name}.{index}"
                yield FormRow("entry", entry, number)
                if everything or entry in self._open:
                    for spec in section.fields:
                        key = f"{entry}.{spec.name}"
                        hidden = spec.option.expert and entry not in self._full and not self.is_changed(key, spec)
                        if everything or (not hidden and self._shown(spec, key)):
                            yield FormRow("field", key, number, spec)
            yield FormRow("add", section.name, number)

    def _shown(self, spec: FieldSpec, key: str) -> bool:
        """Simple settings that have an effect, and whatever was changed: a change is never hidden."""
        if self.is_changed(key, spec):
            return True
        return (self.expert or not spec.option.expert) and applies(spec, self.config)

    def _found(self, number: int) -> Iterable[FormRow]:
        words = self.query.casefold().split()
        for row in self._rows_of(number, everything=True):
            if row.spec is not None and all(word in haystack(row.spec) for word in words):
                yield row

    def _changed(self, number: int) -> Iterable[FormRow]:
        for row in self._rows_of(number, everything=True):
            if row.spec is not None and self.is_changed(row.key, row.spec):
                yield row

    def holds(self, preset: Preset) -> bool:
        """Whether every setting of a preset has the value that the preset gives it."""
        return preset.family == self.config.model.family and all(
            value_of(self.config, key) == value for key, value in preset.values.items()
        )

    def group_state(self, number: int) -> str:
        """``error``, ``warning`` or ``done`` by what the check says of the group; empty before any check."""
        if self.findings is None:
            return ""
        names = {section.name for section in groups()[number].sections}
        levels = {finding.severity for finding in self.findings if finding.field.partition(".")[0] in names}
        return "error" if "error" in levels else "warning" if "warning" in levels else "done"

    def changed_count(self) -> int:
        """How many settings differ from their defaults, entries of lists counted as one each."""
        total = 0
        for group in groups():
            for section in group.sections:
                if section.repeated:
                    total += len(getattr(self.config, section.name))
                else:
                    total += sum(self.is_changed(spec.key, spec) for spec in section.fields)
        return total

    def row_of(self, field: str) -> FormRow | None:
        """The row of a setting named in a finding, its list entry opened and its group shown."""
        section = field.partition(".")[0]
        for number, group in enumerate(groups()):
            if section not in {spec.name for spec in group.sections}:
                continue
            self.group, self.query, self.only_changed = number, "", False
            rows = tuple(self._rows_of(number, everything=True))
            found = next((row for row in rows if row.key == field), None) or next(
                (row for row in rows if row.key.startswith(field) or field.startswith(row.key)), None
            )
            if found is not None and found.entry >= 0:
                self._open.add(f"{found.section}.{found.entry}")
            if found is not None and found.spec is not None and found not in self.rows():
                self.expert = True
                self._full.add(f"{found.section}.{found.entry}")
            return found
        return None

    # -- what a row says

    def is_changed(self, key: str, spec: FieldSpec) -> bool:
        """Whether a setting differs from its default."""
        return bool(value_of(self.config, key) != spec.default)

    def title(self, row: FormRow) -> str:
        """The row's name; settings of an entry a little to the right, or with its number where it is not above them."""
        name = _(_ENTRY_NAMES[row.section]) if row.entry >= 0 else ""
        entry = f"{name} {row.entry + 1}" if name else ""
        if row.spec is not None:
            title = _(row.spec.option.title)
            if not entry:
                return title
            if not self.query and not self.only_changed:
                return f"  {title}"
            return entry if title == name else f"{title} ({entry})"
        if row.kind == "entry":
            return entry
        return _(groups()[row.group].title) if row.kind == "head" else "+"

    def origin(self, row: FormRow) -> Origin:
        """Where the row's value came from."""
        return (
            Origin("default")
            if row.spec is None
            else self.origins.of(row.key, row.spec, value_of(self.config, row.key))
        )

    def value(self, row: FormRow) -> Cell:
        """What the row holds, safe to show."""
        if row.kind == "head":
            return Cell("")
        if row.kind == "add":
            return Cell(_(_ADD_NAMES[row.section]), "muted")
        if row.spec is None:
            return Cell("" if row.key in self._open else self._summary(row))
        value = value_of(self.config, row.key)
        if value in ("", []):
            return Cell(_("none"), "muted")
        return Cell(value_text(row.spec, value), "strong" if self.is_changed(row.key, row.spec) else "")

    def note(self, row: FormRow, marks: Marks = UNICODE) -> Cell:
        """What stands beside the value: what a check says, why it has no effect, its unit and range."""
        found = self.finding(row)
        if found is not None:
            sign = marks.of_severity(found.severity)
            return Cell(f"{sign} {found.message}", "error" if found.severity == "error" else "warning")
        spec = row.spec
        if spec is None:
            folds = _("Enter shows all, x removes") if self._has_more(row) else _("Enter folds, x removes")
            return Cell(folds if row.kind == "entry" else "", "muted")
        if not applies(spec, self.config):
            return Cell(_("no effect unless {rule}").format(rule=rule_text(spec)), "muted")
        if self.only_changed and spec.default not in ("", []):
            return Cell(_("default {value}").format(value=value_text(spec, spec.default)), "muted")
        extra = self._computed(row.key)
        if extra:
            return Cell(extra, "muted")
        if len(spec.choices) > 1:
            return Cell(" / ".join(str(choice) for choice in spec.choices), "muted")
        parts = (unit_text(spec), range_text(spec))
        return Cell(", ".join(part for part in parts if part), "muted")

    def finding(self, row: FormRow) -> Finding | None:
        """The gravest finding on the row; a folded entry shows those of its settings."""
        folded = row.kind == "entry" and row.key not in self._open
        for finding in self.findings or ():
            here = finding.field == row.key or (folded and finding.field.startswith(row.key + "."))
            if here and finding.severity != "note":
                return finding
        return None

    def _computed(self, key: str) -> str:
        """What follows from a setting and is worth seeing beside it."""
        if key.startswith("datasets.") and key.endswith(".repeats") and not value_of(self.config, key):
            return _("0: as the folder's name says, else 1")
        network = self.config.network
        if key in ("network.alpha", "network.conv_alpha"):
            rank, alpha = network.size_of(1 if key == "network.alpha" else 3)
            return _("scale {scale}, alpha / rank").format(scale=f"{alpha / rank:.3g}")
        return ""

    def _summary(self, row: FormRow) -> str:
        entry = getattr(self.config, row.section)[row.entry]
        if isinstance(entry, SamplePrompt):
            size = f"{entry.width}x{entry.height}  {entry.sampler} {entry.steps}  {entry.guidance:g}"
            return f"{size}  {plain(entry.prompt) or _('no prompt')}"
        path = plain(str(entry.path)) or _("no folder")
        if not entry.use:
            return _("{path}, not in use").format(path=path)
        repeats = entry.repeats
        return path if not repeats else _("{path}, repeats {count}").format(path=path, count=repeats)

    # -- edits

    def edit_text(self, row: FormRow) -> str:
        """The row's value as text to edit."""
        assert row.spec is not None
        value = value_of(self.config, row.key)
        if isinstance(value, list):
            return list_text(value, of_rules=row.spec.key == "network.layers")
        return setting_number(value)

    def candidate(self, row: FormRow, text: str) -> Config:
        """The configuration with ``text`` in the row.

        Raises:
            UserError: the text is not allowed there.
        """
        return set_value(self.config, row.key, text, base=self.base)

    def complaint(self, row: FormRow, text: str) -> str:
        """What ``text`` would have to be to be allowed in the row; empty when it is."""
        try:
            self.candidate(row, text)
        except UserError as error:
            assert row.spec is not None
            return error.message if error.code == "samples.flags" else allowed_text(row.spec)
        return ""

    def set(self, row: FormRow, text: str) -> bool:
        """Put ``text`` into the row; false when nothing changed.

        A base model brings its family along, and a family its usual sizes.

        Raises:
            UserError: the text is not allowed there; the configuration stays as it was.
        """
        config = self.candidate(row, text)
        if row.key == "model.base":
            config = with_family_of_base(config)
        elif row.key == "model.family":
            config = with_family(self.config, config.model.family)
        return self._take(config, self.title(row).strip(), row.key)

    def turn(self, row: FormRow, by: int) -> bool:
        """The next or previous value of a switch or a choice; false for other rows."""
        spec = row.spec
        if spec is None or spec.kind not in ("bool", "choice"):
            return False
        value = value_of(self.config, row.key)
        if spec.kind == "bool":
            return self.set(row, "false" if value else "true")
        place = (spec.choices.index(value) + by) % len(spec.choices)
        return self.set(row, str(spec.choices[place]))

    def reset(self, row: FormRow) -> bool:
        """Back to the default; false when it is there already or the row has none."""
        if row.spec is None or not self.is_changed(row.key, row.spec):
            return False
        default = row.spec.default
        text = ", ".join(default) if isinstance(default, list) else str(default)
        config = _copied(self.config)
        parent: Any = value_of(config, row.key.rpartition(".")[0])
        setattr(parent, row.spec.name, list(default) if isinstance(default, list) else default)
        return self._take(config, f"{self.title(row).strip()}: {plain(text)}", row.key)

    def add(self, section: str, **values: Any) -> FormRow:
        """A new entry at the end of a list, a prompt with the size and method of the one before it."""
        config = _copied(self.config)
        entries = getattr(config, section)
        spec = next(spec for spec in sections() if spec.name == section)
        if section == "samples" and entries:
            entries.append(entries[-1].model_copy(update={"prompt": "", **values}))
        else:
            model = type(config).model_fields[section].annotation
            values = {**usual_sample(config), **values} if section == "samples" else values
            entries.append(cast(Any, model).__args__[0](**values))
        key = f"{section}.{len(entries) - 1}"
        self._open.add(key)
        self._take(config, _(_ADD_NAMES[section]))
        self.only_changed = False
        self.group, self.query = next(at for at, group in enumerate(groups()) if spec in group.sections), ""
        return FormRow("field", f"{key}.{spec.fields[0].name}", self.group, spec.fields[0])

    def remove(self, row: FormRow) -> bool:
        """Take the row's list entry away; false when it is no part of a list."""
        if row.entry < 0:
            return False
        config = _copied(self.config)
        del getattr(config, row.section)[row.entry]
        self._open = {key for key in self._open if not key.startswith(f"{row.section}.")}
        self._full.clear()
        self._unfold(config)
        return self._take(config, _("remove {name}").format(name=f"{_(_ENTRY_NAMES[row.section])} {row.entry + 1}"))

    def fold(self, row: FormRow) -> bool:
        """Open or close a list entry, in the expert view in two steps; false when the row is no part of one."""
        if row.entry < 0:
            return False
        entry = f"{row.section}.{row.entry}"
        if self._has_more(row):
            self._full.add(entry)
        else:
            self._full.discard(entry)
            self._open ^= {entry}
        return True

    def _has_more(self, row: FormRow) -> bool:
        """Whether an open entry has settings that few need, which are not shown yet."""
        entry = f"{row.section}.{row.entry}"
        if not self.expert or row.entry < 0 or entry not in self._open or entry in self._full:
            return False
        return any(spec.option.expert for one in sections() if one.name == row.section for spec in one.fields)

    def replace(self, config: Config, what: str, origin: Origin = EDITED) -> bool:
        """Another configuration (a preset), which undo takes back."""
        return self._take(config, what, origin=origin)

    def undo(self) -> str:
        """Take the last edit back; what it was, empty when there was none."""
        return self._go(self._undo, self._redo)

    def redo(self) -> str:
        """Do the edit again that was taken back; what it was, empty when there was none."""
        return self._go(self._redo, self._undo)

    @property
    def can_undo(self) -> bool:
        """Whether there is an edit to take back."""
        return bool(self._undo)

    @property
    def can_redo(self) -> bool:
        """Whether there is an edit to do again."""
        return bool(self._redo)

    def _go(self, source: list[_Past], target: list[_Past]) -> str:
        if not source:
            return ""
        past = source.pop()
        target.append(_Past(self.config, past.what, past.key))
        self.config, self.touched = past.config, past.key
        return past.what

    def _take(self, config: Config, what: str, key: str = "", origin: Origin = EDITED) -> bool:
        if config == self.config:
            return False
        self.origins.changed(self.config, config, origin)
        self._undo.append(_Past(self.config, what, key))
        del self._undo[:-UNDO_LIMIT]
        self._redo.clear()
        self.config = config
        return True

    def _unfold(self, config: Config) -> None:
        if len(config.datasets) <= OPEN_ENTRIES:
            self._open |= {f"datasets.{index}" for index in range(len(config.datasets))}


def _copied(config: Config) -> Config:
    return config.model_copy(deep=True)
