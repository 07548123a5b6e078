import json
import time
from pathlib import Path

import pytest
from run_builders import T0, add_lines, event_line, make_run, step_line

from lora_tui.jobs.events import LAST_MOMENT
from lora_tui.jobs.job import read_job
from lora_tui.jobs.lock import RunLock
from lora_tui.runs.folder import RunFolder
from lora_tui.runs.status import STATES, inspect, state_word
from lora_tui.runs.story import RunStory

JOB = {"pid": 1, "child_pid": 2, "started": T0, "heartbeat": T0 + 9, "ended": T0 + 10, "exit_status": 0, "attempt": 1}


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    made = make_run(tmp_path)
    made.job_path.write_text(json.dumps(JOB))
    return made


def lived(run: RunFolder, *lines: str, steps: int = 10, total: int = 20) -> None:
    add_lines(run, [event_line("attempt", number=1), event_line("run", total_steps=total, epochs=2)])
    add_lines(run, [event_line("phase", phase="training", done=0, total=total)])
    add_lines(run, [step_line(step) for step in range(1, steps + 1)])
    add_lines(run, lines)


def test_a_finished_run(run: RunFolder) -> None:
    lived(run, event_line("finished", T0 + 9, reason="completed", step=10), steps=10, total=10)
    status = inspect(run)
    assert (status.state, status.step, status.total_steps, status.epochs) == ("finished", 10, 10, 2)
    assert (status.loss, status.share, status.can_resume, status.alive) == (0.1, 1.0, False, False)
    assert (status.started, status.ended, status.eta, status.number) == (T0, T0 + 10, None, 1)


@pytest.mark.parametrize("reason", ["stopped", "stopped_now"])
def test_a_stopped_run_can_go_on(run: RunFolder, reason: str) -> None:
    lived(run, event_line("finished", reason=reason, step=10))
    status = inspect(run)
    assert (status.state, status.code, status.can_resume) == ("stopped", reason, True)


def test_a_failure_carries_its_words(run: RunFolder) -> None:
    lived(run, event_line("failed", code="nan", message="it is NaN", advice="lower it"))
    status = inspect(run)
    assert (status.state, status.code, status.message, status.advice) == ("failed", "nan", "it is NaN", "lower it")


def test_a_death_without_a_word_is_explained_from_the_log(run: RunFolder) -> None:
    lived(run)
    run.job_path.unlink()
    run.log_path.write_text("Traceback (most recent call last):\nOSError: [Errno 28] No space left on device\n")
    status = inspect(run)
    assert (status.state, status.code) == ("died", "disk.full")


def test_an_end_of_an_earlier_life_is_not_the_end(run: RunFolder) -> None:
    lived(run, event_line("finished", reason="stopped", step=10))
    add_lines(run, [event_line("attempt", number=2), event_line("run", total_steps=20)])
    assert inspect(run).state == "died"
    add_lines(run, [event_line("resumed", step=8), step_line(9, loss=0.5)])
    status = inspect(run)
    assert (status.state, status.step, status.loss) == ("died", 9, 0.5)


def test_after_going_back_the_step_is_the_one_it_went_back_to(run: RunFolder) -> None:
    lived(run, event_line("attempt", number=2), event_line("run", total_steps=20), event_line("resumed", step=4))
    assert inspect(run).step == 4


def test_progress_is_found_behind_many_samples_of_the_machine(run: RunFolder) -> None:
    lived(run)
    add_lines(run, [event_line("resources", gpus=[], ram_used=1, text="x" * 200) for _ in range(2000)])
    assert inspect(run).step == 10


def test_the_plan_is_found_at_the_start_of_a_long_file(run: RunFolder) -> None:
    lived(run, steps=5000, total=9000)
    status = inspect(run)
    assert (status.step, status.total_steps, status.step_seconds) == (5000, 9000, 0.5)


def cached_for_hours(run: RunFolder, items: int = 40_000) -> None:
    """A life whose caching said so much that its plan stands megabytes behind the start of the file."""
    machine = event_line("resources", gpus=[], ram_used=1)
    add_lines(run, [event_line("attempt", number=1)])
    add_lines(run, [event_line("phase", phase="caching", done=done, total=items) + machine for done in range(items)])


def test_the_plan_is_found_behind_hours_of_caching(run: RunFolder) -> None:
    cached_for_hours(run)
    assert (inspect(run).step, inspect(run).total_steps) == (0, 0)
    add_lines(run, [event_line("run", total_steps=90_000, epochs=3)])
    add_lines(run, [step_line(step) for step in range(1, 5000)])
    status = inspect(run)
    assert (status.step, status.total_steps, status.epochs) == (4999, 90_000, 3)


def test_the_plan_of_the_record_needs_no_search(run: RunFolder) -> None:
    run.record_path.write_text(json.dumps({"format": 1, "totals": {"total_steps": 700, "epochs": 7}}))
    add_lines(run, [step_line(step) for step in range(1, 100)])
    status = inspect(run)
    assert (status.step, status.total_steps, status.epochs) == (99, 700, 7)


def test_a_replaced_event_file_has_its_own_plan(run: RunFolder) -> None:
    lived(run, steps=200, total=300)
    assert inspect(run).total_steps == 300
    run.events_path.unlink()
    lived(run, steps=200, total=400)
    assert inspect(run).total_steps == 400


def test_a_pause_of_hours_is_still_a_pause(run: RunFolder) -> None:
    """What a paused run said last stands before thousands of samples of the machine."""
    lived(run, event_line("phase", phase="paused"), steps=10)
    add_lines(run, [event_line("resources", gpus=[], ram_used=1, text="x" * 400) for _ in range(8000)])
    run.job_path.unlink()
    with RunLock.acquire(run.lock_path), RunLock.acquire(run.keeper_lock_path):
        status = inspect(run)
    assert (status.state, status.step) == ("paused", 10)


def test_a_start_that_no_file_tells_of_is_seen_by_its_lock(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    with RunLock.acquire(run.keeper_lock_path):
        assert inspect(run).state == "starting"
    run.log_path.touch()
    status = inspect(run)
    assert (status.state, status.code) == ("died", "ended")


def test_no_end_is_foretold_from_the_first_steps(run: RunFolder) -> None:
    run.job_path.unlink()
    add_lines(run, [event_line("run", total_steps=1000), step_line(1, step_seconds=90.0)])
    with RunLock.acquire(run.lock_path), RunLock.acquire(run.keeper_lock_path):
        assert inspect(run).eta is None
        add_lines(run, [step_line(step) for step in range(2, 6)])
        assert inspect(run).eta is None
        add_lines(run, [step_line(6)])
        assert inspect(run).eta == pytest.approx(994 * 0.5)
        machine = [event_line("resources", gpus=[], ram_used=1, text="x" * 400) for _ in range(30)]
        for step in range(7, 20):  # a minute a step: the machine says more than the trainer
            add_lines(run, [*machine, step_line(step, step_seconds=60.0)])
        assert inspect(run).eta == pytest.approx(981 * 60)


def test_a_run_that_was_never_started(tmp_path: Path) -> None:
    status = inspect(make_run(tmp_path))
    assert (status.state, status.code, status.step, status.can_resume) == ("died", "never", 0, True)


def test_a_folder_that_is_gone(tmp_path: Path) -> None:
    status = inspect(RunFolder(tmp_path / "none"))
    assert (status.state, status.code, status.can_resume) == ("died", "gone", False)


def test_a_run_of_a_newer_version_is_shown_but_does_not_resume(tmp_path: Path) -> None:
    run = make_run(tmp_path, format=99)
    lived(run, event_line("finished", reason="stopped", step=10))
    status = inspect(run)
    assert (status.state, status.newer, status.can_resume) == ("stopped", True, False)


def test_a_folder_that_can_only_be_read(run: RunFolder) -> None:
    lived(run, event_line("finished", reason="stopped", step=10))
    for path in (run.root, run.events_path):
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        assert inspect(run).state == "stopped"
    finally:
        run.root.chmod(0o755)


def test_a_clock_that_went_back_gives_no_nonsense(run: RunFolder) -> None:
    lived(run, event_line("finished", T0 - 1000, reason="completed", step=10))
    run.job_path.write_text(json.dumps({**JOB, "ended": T0 - 1000}))
    status = inspect(run)
    assert (status.state, status.ended) == ("finished", T0 - 1000)


HOSTILE = [
    b"\xff\xff\n[]\n{}\n",
    b'{"kind":"step","step":"x","loss":{}}\n',
    b'{"kind":"step","step":-5}\n{"kind":"run","total_steps":1e300,"epochs":true}\n',
    b'{"kind":"finished","reason":["x"],"step":{}}\n',
    b'{"kind":["step"]}\n{"kind":"failed","message":' + b'"x"' + b',"code":7}\n',
    b'{"kind":"phase","phase":{"a":1},"done":"x"}\n',
    b"x" * 3_000_000,
    b'{"kind":"step","step":99999999999999999999999}\n',
]


@pytest.mark.parametrize("data", HOSTILE, ids=range(len(HOSTILE)))
def test_nothing_in_the_files_makes_it_fail(run: RunFolder, data: bytes) -> None:
    for path in (run.events_path, run.job_path, run.record_path, run.lock_path, run.log_path):
        path.write_bytes(data)
    status = inspect(run)
    assert status.state in STATES and state_word(status.state)


NONSENSE = (
    "Infinity",
    "-Infinity",
    "NaN",
    "1e308",
    "1" + "0" * 400,
    "1" + "0" * 5000,
    '"x"',
    "[1]",
    "{}",
    "-5",
    "true",
)


@pytest.mark.parametrize("text", NONSENSE, ids=range(len(NONSENSE)))
def test_numbers_that_cannot_be_are_unknown(run: RunFolder, text: str) -> None:
    lived(run, '{"t":%s,"kind":"step","step":%s,"loss":%s,"epoch":%s,"step_seconds":%s}\n' % ((text,) * 5))
    for file in (run.job_path, run.record_path, run.lock_path, run.keeper_lock_path):
        names = [*JOB, "pid", "child_pid", "log_offset", "signal", "number", "created", "format", "totals"]
        file.write_text("{" + ",".join(f'"{name}":{text}' for name in names) + "}")
    status = inspect(run)
    numbers = (status.number, status.attempt, status.pid, status.step, status.total_steps, status.epoch)
    assert set(numbers) <= {0, 10, 20, 1} and status.state in STATES
    for moment in (status.started, status.ended, status.eta):
        assert moment is None or 0 <= moment < LAST_MOMENT
    assert status.damaged == ("record.json", "job.json")
    assert run.number == 0
    read_job(run.root)


def test_what_is_not_damaged_is_not_called_so(run: RunFolder) -> None:
    assert inspect(run).damaged == ()
    run.job_path.unlink()
    run.record_path.unlink()
    assert inspect(run).damaged == ()
    run.job_path.write_text("{")
    status = inspect(run)
    assert (status.damaged, status.code, status.can_resume) == (("job.json",), "damaged", True)


def test_a_job_file_with_wrong_types_counts_as_far_as_it_is_right(run: RunFolder) -> None:
    run.job_path.write_text(json.dumps({"pid": "x", "child_pid": None, "ended": [], "host": 5, "attempt": 3.0}))
    assert inspect(run).attempt == 3


def test_a_thousand_runs_are_looked_at_quickly(tmp_path: Path) -> None:
    runs = []
    for number in range(200):
        made = make_run(tmp_path, f"20260101-{number:06d}-x", number=number)
        made.job_path.write_text(json.dumps(JOB))
        lived(made, event_line("finished", reason="completed", step=50), steps=50, total=50)
        runs.append(made)
    begun = time.process_time()
    states = {inspect(made).state for made in runs}
    assert states == {"finished"}
    assert time.process_time() - begun < 0.5  # a fifth of them, at five times the time that holds


def test_looking_changes_nothing(run: RunFolder) -> None:
    lived(run)
    before = {path: path.stat().st_mtime_ns for path in run.root.rglob("*")}
    inspect(run)
    assert {path: path.stat().st_mtime_ns for path in run.root.rglob("*")} == before


def test_a_life_of_one_step_leaves_the_speed_of_the_life_before(tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs")
    add_lines(run, [event_line("attempt"), event_line("run", total_steps=400)])
    add_lines(run, [step_line(step, step_seconds=0.5) for step in range(1, 31)])
    add_lines(run, [event_line("finished", reason="stopped", step=30)])
    add_lines(run, [event_line("attempt"), event_line("run", total_steps=400), event_line("resumed", step=30)])
    add_lines(run, [step_line(31, step_seconds=20.0), event_line("finished", reason="stopped", step=31)])
    status = inspect(run)
    assert (status.state, status.step, status.step_seconds) == ("stopped", 31, 0.5)


def test_the_time_left_counts_what_lies_between_steps(tmp_path: Path) -> None:
    """As the dashboard's: a step computes for half a second, and with samples and saving one a second is done."""
    run = make_run(tmp_path / "runs")
    add_lines(run, [event_line("attempt"), event_line("run", total_steps=400)])
    add_lines(run, [step_line(step, t=T0 + step, step_seconds=0.5) for step in range(1, 101)])
    with RunLock.acquire(run.lock_path), RunLock.acquire(run.keeper_lock_path):
        assert inspect(run).eta == pytest.approx(300, rel=0.05)


def test_the_time_left_is_the_dashboards_long_after_a_sample(tmp_path: Path) -> None:
    """Samples that took a minute four hundred steps ago will take theirs again."""
    run = make_run(tmp_path / "runs")
    add_lines(run, [event_line("attempt"), event_line("run", total_steps=1000)])
    at = [T0 + step * 0.5 + (60 if step > 100 else 0) for step in range(501)]
    add_lines(run, [step_line(step, t=at[step], step_seconds=0.5) for step in range(1, 501)])
    story = RunStory(run)
    story.update(5)
    with RunLock.acquire(run.lock_path), RunLock.acquire(run.keeper_lock_path):
        assert inspect(run).eta == pytest.approx(story.eta_seconds, rel=0.01)
        assert inspect(run).eta == pytest.approx(250 * 310 / 250, rel=0.02)


@pytest.mark.parametrize(
    ("text", "word"), [(None, "missing"), ("[steps\nx", "cannot be read"), ("a = \xff", "cannot be read")]
)
def test_who_cannot_be_resumed_is_not_told_to_resume(run: RunFolder, text: str | None, word: str) -> None:
    lived(run, event_line("failed", code="killed", message="killed", advice="Resume it.", by="keeper"))
    assert inspect(run).advice == "Resume it."
    if text is None:
        run.config_path.unlink()
    else:
        run.config_path.write_bytes(text.encode("latin-1"))
    status = inspect(run)
    assert not status.can_resume and word in status.advice and "Resume it" not in status.advice
    assert ("config.toml" in status.damaged) == (text is not None)


def test_a_run_of_a_newer_version_is_not_told_to_resume(tmp_path: Path) -> None:
    run = make_run(tmp_path, format=99)
    add_lines(run, [event_line("failed", code="killed", message="killed", advice="Resume it.", by="keeper")])
    assert "Update" in inspect(run).advice


@pytest.mark.parametrize("phase", [[], {}, 5, None, ["training"]])
def test_a_phase_that_is_no_word_is_passed_over(run: RunFolder, phase: object) -> None:
    lived(run, event_line("phase", phase=phase, done="x", total=[]))
    assert inspect(run).step == 10
    run.events_path.write_text(event_line("attempt", number=1) + event_line("phase", phase=phase))
    assert inspect(run).state == "died"
