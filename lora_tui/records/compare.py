"""Any number of runs side by side: what they were asked, what they were trained on, what came of it.

Blocks and reads files; what it gives is frozen data that a screen, a command and an export draw alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lora_tui.jobs.events import as_number
from lora_tui.records.best import best_name
from lora_tui.records.manifest import DatasetChanges, changes, read_manifest
from lora_tui.records.rows import Row
from lora_tui.runs.facts import Sample
from lora_tui.runs.folder import RunFolder, read_json
from lora_tui.runs.story import RunStory
from lora_tui.text.formats import bytes_text, count, duration, number, setting_number
from lora_tui.text.plain import plain
from lora_tui.text.translate import N_, _
from lora_tui.toml_files import TomlError, read_toml

READ_SECONDS = 60.0
"""Time that the events of one run may take to be read: a million steps take a few seconds."""

MISSING = "-"
"""What stands where a run has nothing."""

NO_SETTINGS = frozenset({"schema_version", "saving.name", "saving.title"})
"""What names a run instead of changing it."""


@dataclass(frozen=True)
class Line:
    """One thing about each run, as text in the order of the runs; ``key`` says what, ``title`` in a person's words.

    ``written``: the same for programs, where that is not as a person reads it.
    """

    key: str
    title: str
    values: tuple[str, ...]
    written: tuple[str, ...] = ()

    @property
    def differs(self) -> bool:
        """Whether the runs are not alike in it."""
        return len(set(self.values)) > 1


@dataclass(frozen=True)
class Drawn:
    """One prompt and the samples that each run drew of it, by rising step."""

    prompt: str
    samples: tuple[tuple[Sample, ...], ...]


@dataclass(frozen=True)
class Comparison:
    """Runs side by side; the first is what the others are held against.

    Attributes:
        settings: the settings that are not alike; ``alike`` counts the others.
        results: what came of each.
        machines: versions, devices and base models that are not alike.
        datasets: of each run but the first, how its images and captions differ; none where one of the two is unknown.
        drawn: prompts that at least one of them drew.
        problems: what of a run could not be read, one sentence each.
    """

    rows: tuple[Row, ...]
    stories: tuple[RunStory, ...]
    settings: tuple[Line, ...]
    alike: int
    results: tuple[Line, ...]
    machines: tuple[Line, ...]
    datasets: tuple[DatasetChanges | None, ...]
    drawn: tuple[Drawn, ...]
    problems: tuple[str, ...] = ()
    names: tuple[str, ...] = field(default=())


def compare(rows: Sequence[Row], should_stop: Callable[[], bool] = lambda: False) -> Comparison:
    """Hold the runs against each other. Never raises: what cannot be read is missing, and said in ``problems``."""
    problems: list[str] = []
    stories = []
    for row in rows:
        story = RunStory(row.run)
        story.update(0.0 if should_stop() else READ_SECONDS)
        stories.append(story)
    tables = [_settings(row.run, problems) for row in rows]
    keys = list(dict.fromkeys(key for table in tables for key in table if key not in NO_SETTINGS))
    lines = [_setting_line(key, [table.get(key) for table in tables]) for key in keys]
    different = tuple(line for line in lines if line.differs)
    return Comparison(
        tuple(rows),
        tuple(stories),
        different,
        len(lines) - len(different),
        results(rows, stories),
        tuple(line for line in _machines([row.run for row in rows]) if line.differs),
        _datasets(rows, should_stop),
        _drawn(stories),
        tuple(problems),
        short_names(rows),
    )


def short_names(rows: Sequence[Row]) -> tuple[str, ...]:
    """What each run is called in a heading: its number where all have different ones, else its name."""
    numbers = [row.status.number for row in rows]
    if 0 not in numbers and len(set(numbers)) == len(numbers):
        return tuple(_("run {number}").format(number=number) for number in numbers)
    return tuple(plain(row.run.name) for row in rows)


def results(rows: Sequence[Row], stories: Sequence[RunStory]) -> tuple[Line, ...]:
    """What came of each run, as lines that stand in every comparison."""
    from lora_tui.runs.status import state_word

    lines = [
        ("state", N_("state"), [state_word(row.status.state) for row in rows]),
        ("steps", N_("steps"), [f"{count(row.status.step)}/{count(row.status.total_steps)}" for row in rows]),
        ("loss", N_("loss, smoothed"), [number(_smoothed(story)) for story in stories]),
        ("validation", N_("lowest validation"), [number(row.validation) for row in rows]),
        ("validation_step", N_("at step"), [count(row.validation_step) if row.validation else MISSING for row in rows]),
        ("best", N_("best file"), [best_name(Path(row.best).name, row.best_strength) or MISSING for row in rows]),
        ("alarms", N_("alarms"), [_alarms(row) for row in rows]),
        ("took", N_("took"), [duration(row.status.took) for row in rows]),
        ("step_seconds", N_("seconds per step"), [number(row.status.step_seconds, 3) for row in rows]),
        ("memory", N_("most memory"), [bytes_text(_most(story, "memory_reserved")) for story in stories]),
        ("images", N_("images"), [count(row.images) if row.images else MISSING for row in rows]),
        ("rating", N_("rating"), [row.notes.stars or MISSING for row in rows]),
        ("tags", N_("tags"), [plain(" ".join(row.notes.tags)) or MISSING for row in rows]),
        ("note", N_("note"), [plain(row.notes.note.replace("\n", " "), limit=200) or MISSING for row in rows]),
    ]
    return tuple(Line(key, _(title), tuple(values)) for key, title, values in lines)


def _alarms(row: Row) -> str:
    """What was noticed of a run and since which step, each kind once, the last time it was told."""
    last = {alarm.code: alarm for alarm in row.status.alarms}
    since = _("{alarm} @{step}")
    told = (since.format(alarm=one.title, step=count(one.at)) if one.at else one.title for one in last.values())
    return plain(", ".join(told), limit=200) or MISSING


def _smoothed(story: RunStory) -> float | None:
    series = story.series.get("loss")
    values = series.smooth(0.99) if series is not None else ()
    finite = [value for value in values if math.isfinite(value)]
    return finite[-1] if finite else None


def _most(story: RunStory, name: str) -> float | None:
    series = story.series.get(name)
    finite = [value for value in series.high if math.isfinite(value)] if series is not None else []
    return max(finite, default=None)


def _setting_line(key: str, found: Sequence[Any]) -> Line:
    """A setting of each run; none where a run does not have it."""
    values, written = (
        tuple(MISSING if one is None else setting_text(one, number) for one in found)
        for number in (setting_number, _plain_number)
    )
    return Line(key, setting_title(key), values, written)


def _settings(run: RunFolder, problems: list[str]) -> dict[str, Any]:
    """Every setting as ``section.key`` -> value; entries of lists are counted from 0, as ``--set`` does."""
    try:
        data = read_toml(run.config_path)
    except (OSError, UnicodeDecodeError, TomlError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        text = _("{run}: its configuration cannot be read: {reason}.")
        problems.append(text.format(run=plain(run.name), reason=plain(str(reason), limit=200)))
        return {}
    found: dict[str, Any] = {}
    for section, values in data.items():
        if isinstance(values, Mapping):
            found.update({f"{section}.{key}": value for key, value in values.items()})
        elif isinstance(values, list):
            for at, entry in enumerate(values):
                if isinstance(entry, Mapping):
                    found.update({f"{section}.{at}.{key}": value for key, value in entry.items()})
        else:
            found[section] = values
    return found


def setting_title(key: str) -> str:
    """What the form calls a setting: with its group where others are called alike, or the number of its entry."""
    from lora_tui.config.fields import field_for, fields, sections

    spec = field_for(key)
    if spec is None:  # of another version, or what somebody wrote by hand
        return plain(key, limit=100)
    title = _(spec.option.title)
    if spec.repeated:
        entry = next((int(part) for part in key.split(".") if part.isdecimal()), 0)
        group = _(next(section.title for section in sections() if section.name == spec.section))
        return f"{title} ({group} {entry + 1})"
    if sum(other.option.title == spec.option.title for other in fields()) > 1:
        return f"{title} ({_(next(section.title for section in sections() if section.name == spec.section))})"
    return title


def by_key(lines: Sequence[Line]) -> tuple[Line, ...]:
    """Lines of settings under the names that files and commands have for them."""
    return tuple(replace(line, title=line.key) for line in lines)


def setting_text(value: Any, number_text: Callable[[object], str] = setting_number) -> str:
    """A value as it is written in a configuration, on one line and safe to show."""
    if isinstance(value, list):
        return plain(", ".join(setting_text(one, number_text) for one in value))
    return plain(number_text(value)) if value != "" else '""'


def _plain_number(value: object) -> str:
    """As :func:`setting_number`, in the notation that programs were given from the beginning: ``0.0001``, ``5e-05``."""
    if not isinstance(value, float):
        return setting_number(value)
    short = f"{value:g}"
    return short if float(short) == value else repr(value)


def _machines(runs: Sequence[RunFolder]) -> list[Line]:
    records = [read_json(run.record_path) for run in runs]
    found: dict[str, list[str]] = {}
    for at, record in enumerate(records):
        for key, value in _facts_of(record).items():
            found.setdefault(key, [MISSING] * len(records))[at] = value
    return [Line(key, key, tuple(values)) for key, values in found.items()]


def _facts_of(record: Mapping[str, Any]) -> dict[str, str]:
    found = {}
    for section, names in (("device", ("type", "name")), ("base_model", ("hash",)), ("versions", None)):
        table = record.get(section)
        if not isinstance(table, dict):
            continue
        for name in names if names is not None else sorted(table)[:30]:
            value = table.get(name)
            if isinstance(value, str) and value:
                found[f"{section}.{name}"] = plain(value[:16] if name == "hash" else value, limit=80)
    host = record.get("host")
    if isinstance(host, str):
        found["host"] = plain(host, limit=80)
    return found


def _datasets(rows: Sequence[Row], should_stop: Callable[[], bool]) -> tuple[DatasetChanges | None, ...]:
    first = read_manifest(rows[0].run) if rows else None
    found: list[DatasetChanges | None] = []
    for row in rows[1:]:
        other = None if first is None or should_stop() else read_manifest(row.run)
        found.append(changes(first, other) if first is not None and other is not None else None)
    return tuple(found)


def _drawn(stories: Sequence[RunStory]) -> tuple[Drawn, ...]:
    """The samples by the text of their prompt, in the order in which prompts first appear."""
    texts: dict[str, None] = {}
    by_run: list[dict[str, dict[int, Sample]]] = []
    for story in stories:
        mine: dict[str, dict[int, Sample]] = {}
        for sample in story.samples:
            text = sample.text or _("prompt {number}").format(number=sample.prompt + 1)
            texts.setdefault(text)
            mine.setdefault(text, {})[sample.step] = sample  # of several at one step the newest
        by_run.append(mine)
    return tuple(
        Drawn(text, tuple(tuple(mine.get(text, {})[step] for step in sorted(mine.get(text, {}))) for mine in by_run))
        for text in texts
    )


def as_json(comparison: Comparison) -> dict[str, Any]:
    """The comparison as plain values."""
    told = comparison
    return {
        "runs": [row.run.root for row in told.rows],
        "settings": {line.key: list(line.written) for line in told.settings},
        "settings_alike": told.alike,
        "results": {line.key: list(line.values) for line in told.results},
        "environment": {line.key: list(line.values) for line in told.machines},
        "datasets": [None if one is None else dataset_json(one) for one in told.datasets],
        "curves": [_curves_json(story) for story in told.stories],
        "samples": [
            {
                "prompt": one.prompt,
                "runs": [[{"step": s.step, "path": s.path} for s in samples] for samples in one.samples],
            }
            for one in told.drawn
        ],
        "problems": list(told.problems),
    }


def dataset_json(told: DatasetChanges) -> dict[str, Any]:
    """Differences of datasets as plain values."""
    return {
        "added": list(told.added),
        "removed": list(told.removed),
        "renamed": [list(pair) for pair in told.renamed],
        "changed_images": [change.name for change in told.contents],
        "changed_captions": [
            {"file": change.name, "before": change.before.caption, "after": change.after.caption}
            for change in told.captions
        ],
        "changed_repeats": [
            {"file": change.name, "before": change.before.repeats, "after": change.after.repeats}
            for change in told.repeats
        ],
        "changed_crops": [change.name for change in told.crops],
        "tags": {tag: list(counts) for tag, counts in (told.tags or {}).items()},
        "same": told.same,
    }


def _curves_json(story: RunStory) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in ("loss", "validation"):
        series = story.series.get(name)
        if series is not None:
            found[name] = {"steps": list(series.last_steps), "mean": [as_number(value) for value in series.mean]}
    return found
