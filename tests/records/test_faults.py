"""Records and stories fed with torn, interleaved, huge and hostile lines and with half-written folders.

Nothing raises, what is whole is told, and a run that is sound is told as ever.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from run_builders import add_lines, event_line, make_run, step_line

from lora_tui.cli.main import run as command
from lora_tui.records.best import best_of, checkpoints_of, course_of
from lora_tui.records.compare import as_json, compare
from lora_tui.records.disk import Wish, cost_of, leaving
from lora_tui.records.export import dataset_lines, export
from lora_tui.records.manifest import read_manifest
from lora_tui.records.notes import Notes
from lora_tui.records.query import chosen
from lora_tui.records.rows import read_rows
from lora_tui.runs.folder import RunFolder, list_runs
from lora_tui.runs.story import RunStory
from lora_tui.trackers.feed import Feed

HUGE = '{"t": 1, "kind": "validation", "step": 1, "loss": 0.5, "pad": "' + "x" * (2 << 20) + '"}\n'
DEEP = '{"kind": "checkpoint", "path": ' + "[" * 5000 + "]" * 5000 + "}\n"
LINE = '{"t": NUMBER, "kind": "KIND", "step": NUMBER, "loss": NUMBER, "lr": NUMBER}\n'
ESCAPES = "\x1b[2J\x1b]0;owned\x07\u202e"


def torn(run: RunFolder) -> None:
    add_lines(run, [event_line("run", total_steps=5), step_line(1), step_line(2)])
    whole = step_line(3)
    add_lines(run, [whole[: len(whole) // 2]])


def interleaved(run: RunFolder) -> None:
    one, two = step_line(1), event_line("validation", step=1, loss=0.5)
    add_lines(run, [one[:20] + two.strip() + one[20:], step_line(2), event_line("checkpoint", step=2, path="../../x")])


def huge(run: RunFolder) -> None:
    add_lines(run, [step_line(1), HUGE, DEEP, "\0" * 5000 + "\n", step_line(2), "9" * 100_000 + "\n"])


def hostile(run: RunFolder) -> None:
    numbers = ("1e999", "-1", '"nan"', "[1]", "{}", "null", "1" + "0" * 400, "NaN", "true")
    for kind in ("step", "validation", "checkpoint", "sample", "resumed", "phase", "resources", "run", "finished"):
        for number in numbers:
            add_lines(run, [LINE.replace("KIND", kind).replace("NUMBER", number)])
    for place in ("/etc/passwd", "../../../etc/passwd", "a\0b", ESCAPES, "x" * 9000, "checkpoints"):
        add_lines(
            run, [event_line(kind, step=1, path=place, text=ESCAPES) for kind in ("checkpoint", "sample", "state")]
        )
    add_lines(
        run, [event_line("step", step=1, lr={ESCAPES + str(n): 1e-4 for n in range(300)}, loss="inf"), step_line(2)]
    )


def backwards(run: RunFolder) -> None:
    add_lines(run, [event_line("run", total_steps=9), *[step_line(n, t=2e9 - n * 1000) for n in range(1, 6)]])
    add_lines(
        run, [event_line("validation", 5.0, step=5, loss=0.5), event_line("finished", 1.0, reason="stopped", step=5)]
    )


def half_written(run: RunFolder) -> None:
    for folder in (run.checkpoints_dir, run.samples_dir, run.state_dir, run.control_dir):
        shutil.rmtree(folder)
    run.record_path.write_text('{"format": 1, "num')
    run.config_path.write_text("[network]\nrank = ")


def strange_files(run: RunFolder) -> None:
    run.record_path.unlink()
    run.events_path.mkdir()
    (run.root / "notes.json").symlink_to("notes.json")
    os.mkfifo(run.root / "dataset.json")
    (run.checkpoints_dir / "x.safetensors").symlink_to("/nowhere")
    (run.checkpoints_dir / "y.safetensors").mkdir()


def newer(run: RunFolder) -> None:
    run.record_path.write_text('{"format": 99, "number": 7, "dataset": {"files": "elsewhere", "images": "many"}}')
    run.config_path.write_text('schema_version = 99\n[network]\nrank = "thirty"\n[dream]\nx = 1\n')
    add_lines(run, [event_line("dreamt", step=1), step_line(1)])


def gone(run: RunFolder) -> None:
    shutil.rmtree(run.root)


def locked_away(run: RunFolder) -> None:
    add_lines(run, [step_line(1)])
    (run.root / "notes.json").write_text(json.dumps({"note": ESCAPES, "tags": [ESCAPES, "a"], "rating": 3}))
    for path in (run.events_path, run.config_path, run.record_path):
        path.chmod(0)


FAULTS = (torn, interleaved, huge, hostile, backwards, half_written, strange_files, newer, gone, locked_away)


@pytest.fixture
def sound(tmp_path: Path) -> RunFolder:
    run = make_run(tmp_path / "runs", "20260101-000000-sound", number=1)
    add_lines(run, [event_line("run", total_steps=4), *[step_line(step) for step in range(1, 5)]])
    add_lines(run, [event_line("validation", step=4, loss=0.25), event_line("finished", reason="completed", step=4)])
    return run


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_nothing_raises_and_others_are_told_as_ever(
    fault: Callable[[RunFolder], None], sound: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs_dir = sound.root.parent
    alone = read_rows([sound], runs_dir)[0]
    run = make_run(runs_dir, "20260102-000000-faulty", number=2)
    before = list_runs(runs_dir)
    fault(run)
    for _again in range(2):
        first, second = read_rows(before, runs_dir)
        assert first == alone
        assert chosen([first, second], "validation<1 is:finished")[0] == first
    story = RunStory(run)
    story.update(5.0)
    list(Feed(run).poll())
    assert best_of(run, Notes()) is None or checkpoints_of(run)
    cost_of(run), course_of(run), read_manifest(run), leaving(second, Wish()), leaving(second, Wish(("all",)))
    told = compare([first, second])
    assert as_json(told)["settings"] is not None and [dataset_lines(one) for one in told.datasets]
    made = export(told, tmp_path / "out", ["md", "csv", "svg"])
    assert not set("".join(path.read_text("utf-8", "replace") for path in made)) & set("\x1b\x07\u202e")
    for words in (["list"], ["list", "--csv"], ["compare", "1", str(run.root)], ["disk"], ["prune"], ["best", "1"]):
        assert command(["runs", *words, "--dir", str(runs_dir)]) in (0, 2)
    out = capsys.readouterr()
    assert not set(out.out + out.err) & set("\x1b\x07\u202e") and "inside lora-tui" not in out.err


def test_what_is_whole_among_the_damage_is_told(sound: RunFolder) -> None:
    for fault, steps in ((torn, 2), (huge, 2), (backwards, 5)):
        run = make_run(sound.root.parent, f"20260103-000000-{fault.__name__}")
        fault(run)
        story = RunStory(run)
        story.update(5.0)
        assert story.step == steps and list(story.series["loss"].steps) == list(range(1, steps + 1))
    assert course_of(run).validations == {5: 0.5}
