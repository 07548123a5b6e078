"""Events that anybody may have written: nothing breaks the detectors, and every finding has its words."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as some

from lora_tui.alarms.alarm import FILE, TITLES, Alarm, alarm_of, read_alarms, write_alarms
from lora_tui.alarms.detect import Detector
from lora_tui.alarms.facts import RunFacts, facts_of
from lora_tui.alarms.finding import Finding
from lora_tui.alarms.words import alarm_for
from lora_tui.jobs.deadline import Deadline
from lora_tui.text import set_language

KINDS = [
    *("run", "step", "validation", "resources", "phase", "checkpoint", "resumed", "changed", "warning", "finished"),
    *("failed", "attempt", "alarm", "x"),
]
NAMES = [
    *("t", "step", "loss", "grad_norm", "step_seconds", "data_wait", "memory_allocated", "memory_reserved", "device"),
    *("total_steps", "phase", "gpus", "ram_used", "ram_total", "disk_free", "bytes", "path", "reason", "code"),
    *("images", "validation_images"),
]
VALUES = some.one_of(
    some.none(),
    some.booleans(),
    some.integers(-(2**70), 2**70),
    some.floats(),
    some.sampled_from(
        ["nan", "inf", "-inf", "cuda", "cuda:0", "cuda:999", "training", "paused", "saving", "\x1b[x", ""]
    ),
    some.just([{"utilization": 1, "memory_used": 2.0, "memory_total": 2.0}]),
    some.lists(some.integers(), max_size=2),
    some.dictionaries(some.text(max_size=3), some.integers(), max_size=2),
)
EVENTS = some.fixed_dictionaries({"kind": some.sampled_from(KINDS)}, optional=dict.fromkeys(NAMES, VALUES))


@given(some.lists(EVENTS, max_size=60))
def test_no_event_breaks_them(events: list[dict[str, object]]) -> None:
    detector, facts, deadline = Detector(budget=100.0), RunFacts(), Deadline(100.0, begun=0.0)
    for event in events:
        facts = facts.after(event)
        deadline.take(event)
        for finding in [*detector.take(event), *detector.silent(2e9)]:
            assert alarm_for(finding, facts, 1e9).message
        assert 0 < deadline.margin <= 25


@given(some.dictionaries(some.text(max_size=8), VALUES, max_size=3))
def test_no_configuration_breaks_the_facts(config: dict[str, object]) -> None:
    facts_of({"network": config, "learning": config, "datasets": config, "memory": 3, "ending": []}, "x")


def test_every_finding_has_words_in_every_language() -> None:
    names = ["loss", "usual", "lowest", "now", "before", "share", "wait", "used", "total", "free", "needed", "seconds"]
    names += ["left", "reached", "use"]
    numbers = dict.fromkeys(names, 0.5)
    codes = [code for code in TITLES if code not in ("failed", "died", "budget")]
    said: dict[str, set[str]] = {}
    for language in ("en", "zh_CN"):
        set_language(language)
        for code in codes:
            alarm = alarm_for(Finding(code, 9, 3, numbers), RunFacts(rank=8, rate=1e-4, images=9), 1e9)
            assert alarm.title and alarm.message and alarm.advice
            said.setdefault(code, set()).add(alarm.message)
    assert all(len(messages) == 2 for messages in said.values())


@given(VALUES)
def test_whatever_stands_in_the_file_is_read_as_far_as_it_can_be(value: object) -> None:
    entry = {"code": "nan", "level": value, "message": value, "advice": value, "step": value, "at": value, "t": value}
    alarm = alarm_of(entry)
    assert alarm is not None and alarm.step >= 0 and alarm.level in ("error", "warning", "notice")
    assert alarm_of(value) is None


def test_what_is_written_is_read_back_and_damage_is_nothing(tmp_path: Path) -> None:
    alarms = (Alarm("nan", "error", "m\udcff", "a", 5, 3, 1e9), Alarm("disk", "warning", "m", "a", 9, 9, 1e9))
    write_alarms(tmp_path, alarms)
    first, second = read_alarms(tmp_path)
    assert (first.code, first.at, second) == ("nan", 3, alarms[1])
    for damage in (
        b"",
        b"[]",
        b'{"alarms": 5}',
        b'{"alarms": [5, {"code": 7}, {}]}',
        b"\xff\xfe",
        b'{"alarms": [' * 5000,
    ):
        (tmp_path / FILE).write_bytes(damage)
        assert read_alarms(tmp_path) == ()
    (tmp_path / FILE).unlink()
    (tmp_path / FILE).mkdir()
    assert read_alarms(tmp_path) == ()


def test_numbers_beyond_all_measure_break_nothing() -> None:
    for huge in (1e308, 1e-308, -1e308, 0.0):
        detector = Detector()
        detector.take({"kind": "run", "total_steps": 400, "device": "cuda:0"})
        for step in range(400):
            sign = -1 if step % 3 else 1
            detector.take({"kind": "step", "step": step, "loss": sign * huge, "step_seconds": abs(huge), "t": step})
            detector.take({"kind": "validation", "step": step, "loss": sign * huge})
        detector.take({"kind": "finished", "step": 400})
