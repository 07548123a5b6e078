"""What is sent to Slurm, and what is made of its answers. The tests on a real one are in tests/slurm."""

from __future__ import annotations

import itertools
import os
import stat
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import until

from lora_tui.errors import UserError
from lora_tui.jobs import registry
from lora_tui.jobs.events import tail_events
from lora_tui.jobs.job import Job, write_job
from lora_tui.jobs.slurm import calls, node, send
from lora_tui.jobs.slurm.board import Board
from lora_tui.jobs.slurm.calls import Answer, Listed, accounted, listed
from lora_tui.jobs.slurm.options import Options, options_from
from lora_tui.jobs.slurm.outlook import outlook
from lora_tui.jobs.slurm.rank import launch_line
from lora_tui.jobs.slurm.script import directives, margin, script
from lora_tui.jobs.slurm.submission import Submission, read_submission, write_submission
from lora_tui.runs.folder import RunFolder
from lora_tui.runs.status import inspect

NAMES = st.binary(min_size=1, max_size=40).map(lambda name: os.fsdecode(name.replace(b"\0", b"n").replace(b"/", b"-")))


# -- what is asked for


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=NAMES, home=NAMES)
def test_the_script_names_its_run_whatever_the_folder_is_called(tmp_path: Path, name: str, home: str) -> None:
    recorder = tmp_path / "python"
    recorder.write_text('#!/bin/sh\nprintf "%s\\0" "$LORA_TUI_HOME" "$@"\n')
    recorder.chmod(0o755)
    run_dir = tmp_path / name
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "executable", str(recorder))
        text = script(run_dir, Options(), {"LORA_TUI_HOME": home, "HF_TOKEN": "secret"})
    assert b"secret" not in text
    found = subprocess.run(["bash"], input=text, capture_output=True).stdout.split(b"\0")
    assert found[0] == os.fsencode(home) and found[-2] == os.fsencode(run_dir)
    head = text.split(b"\n\n")[0].split(b"\n")
    assert [line for line in head if line.startswith(b"#SBATCH")] == [
        b"#SBATCH " + os.fsencode(line) for line in directives(run_dir, Options())
    ]
    assert all(line.startswith(b"#") for line in head)


@given(st.sampled_from(["partition", "account", "qos", "gpus", "memory", "time"]), st.text(max_size=30))
def test_an_option_is_one_word_of_the_script_or_refused(name: str, value: str) -> None:
    try:
        options = options_from({name: value})
    except UserError as error:
        assert error.code == "slurm.option" and name in error.place
        return
    assert all(line.isascii() and len(line.split()) == 1 for line in directives(Path("run"), options))


@pytest.mark.parametrize(
    ("said", "seconds"),
    [("4h", 14400), ("90m", 5400), ("1d12h", 129600), ("30", 1800), ("2:00:00", 7200), ("1-0", 86400), ("90:30", 5430)],
)
def test_a_time_limit_is_understood_as_slurm_does_or_written_out(said: str, seconds: int) -> None:
    assert options_from({"time": said}).seconds == seconds


@pytest.mark.parametrize("said", ["0", "30s", "tomorrow", "-5", "1:2:3:4", "٣h"])
def test_no_time_limit_is_named(said: str) -> None:
    with pytest.raises(UserError, match="a time of at least a minute"):
        options_from({"time": said}, place="--")


@given(st.integers(1, 400 * 24 * 60))
def test_there_is_time_to_save_and_more_to_train(minutes: int) -> None:
    if minutes <= 366 * 24 * 60:
        options = options_from({"time": str(minutes)})
        assert 30 <= margin(options) <= minutes * 60 / 2 and margin(options) <= 300


def test_further_options_cannot_take_the_place_of_the_scripts_own() -> None:
    lines = options_from({"lines": ["constraint=a100", "#SBATCH --exclusive", "-x node3"]}).lines
    assert lines == ("--constraint=a100", "--exclusive", "-x node3")
    for line in ("output=/tmp/x", "--array=1-9", "-J name", "--wrap=ls"):
        with pytest.raises(UserError, match="cannot be among"):
            options_from({"lines": [line]})
    with pytest.raises(UserError, match="constraint=a100"):
        options_from({"lines": ["--comment=x\n#SBATCH --uid=0"]})
    own = list(directives(Path("run"), options_from({"lines": "signal=B:USR1@900"})))
    assert [line for line in own if "signal" in line] == ["--signal=B:USR1@900"]


def test_each_node_gets_its_place_among_all() -> None:
    found = {"SLURM_STEP_NUM_NODES": "2", "SLURM_PROCID": "1"}
    line = launch_line(Path("/runs/one"), found, address="10.0.0.1", port=1234, per_node=4)
    said = dict(itertools.pairwise(line))
    assert (said["--num_machines"], said["--num_processes"], said["--machine_rank"]) == ("2", "8", "1")
    assert said["--main_process_ip"] == "10.0.0.1" and said["--resume"] == "/runs/one" and said["--on"] == "here"


# -- what Slurm says


@given(st.text(max_size=300))
def test_what_is_no_answer_is_passed_over(text: str) -> None:
    for found in (*listed(text).values(), *accounted(text).values()):
        assert found.job.isdigit() and found.state.isupper()


def test_answers_are_read_and_made_safe() -> None:
    text = "CLUSTER: one\n12|PENDING|(null)|||N/A|lora-tui-a|b\n13|RUNNING|None|gpu[1-2]|3:00|T|\x1b[31mred\n"
    first, second = listed(text)["12"], listed(text)["13"]
    assert (first.state, first.reason, first.begins, first.name) == ("PENDING", "", "", "lora-tui-a|b")
    assert (second.nodes, second.left) == ("gpu[1-2]", "3:00") and "\x1b" not in second.name
    past = accounted(
        "12|CANCELLED by 1000|0:15|None assigned|x\n13|OUT_OF_MEMORY|0:125|gpu1|y\n13.batch|FAILED|1:0|g|z"
    )
    assert past["12"].state == "CANCELLED" and past["12"].nodes == ""
    assert (past["13"].state, past["13"].exit) == ("OUT_OF_MEMORY", "0:125")


def test_slurm_is_asked_once_for_many_looks() -> None:
    asked: list[list[str]] = []

    def ask(jobs: object, _cluster: str) -> dict[str, Listed]:
        asked.append(list(jobs))  # type: ignore[call-overload]
        return {job: Listed(job, "PENDING") for job in asked[-1]}

    board = Board(ask, lambda _jobs, _cluster: None)
    for _time in range(50):
        found = board.look("7")
        assert found is not None and found.state == "PENDING"
    assert asked == [["7"]]


def test_a_controller_in_trouble_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    monkeypatch.setattr("lora_tui.jobs.slurm.board.WAIT", 0.05)
    board = Board(lambda _jobs, _cluster: over.wait(20) and None, lambda _jobs, _cluster: None)
    assert board.look("7") is None and board.look("7") is None
    over.set()


def test_a_controller_that_fails_is_asked_once_for_many_jobs() -> None:
    asked: list[list[str]] = []
    board = Board(lambda jobs, _cluster: asked.append(list(jobs)), lambda _jobs, _cluster: None)
    assert [board.look(str(job)) for job in range(20)] == [None] * 20
    assert asked == [["0"]]
    board.forget("0")  # somebody did something, and wants to see what came of it
    assert board.look("0") is None and len(asked) == 2


# -- how a run stands


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path / "runs", "blob", "schema_version = 1\n", {})


def says(run: RunFolder, answer: Listed | None, **known: object) -> RunFolder:
    """The run was sent as job 7 an hour ago, and Slurm has this ``answer``."""
    sent = Submission(job="7", name="n", state="sent", sent=time.time() - 3600)
    write_submission(run.root, replace(sent, **known))  # type: ignore[arg-type]
    return run


def board(answer: Listed | None) -> Board:
    return Board(lambda jobs, _c: None if answer is None else {"7": answer}, lambda _jobs, _c: None)


@pytest.mark.parametrize(
    ("answer", "state", "code", "words"),
    [
        (Listed("7", "PENDING", "Resources", name="n"), "waiting", "slurm.waiting", "free nodes"),
        (Listed("7", "PENDING", "ReqNodeNotAvail, x", name="n"), "waiting", "slurm.waiting", "not available"),
        (Listed("7", "PENDING", "Whatever9", name="n"), "waiting", "slurm.waiting", "Whatever9"),
        (Listed("7", "CONFIGURING", nodes="gpu1", name="n"), "starting", "", "begins on gpu1"),
        (Listed("7", "RUNNING", nodes="gpu1", name="somebody's"), "died", "slurm.forgotten", "not know job 7"),
        (Listed("7", "CANCELLED", name="n"), "stopped", "slurm.cancelled", "cancelled"),
        (Listed("7", "FAILED", exit="0:53", name="n"), "died", "slurm.folder", "does not see the run folder"),
        (Listed("7", "BOOT_FAIL", name="n"), "died", "slurm.boot_fail", "could not be started"),
        (Listed("7", "NEW_WORD", name="n"), "died", "slurm.new_word", "failed"),
        (None, "waiting", "slurm.unasked", "does not answer"),
    ],
)  # fmt: skip
def test_a_run_that_has_not_begun_is_told_by_slurm(
    run: RunFolder, answer: Listed | None, state: str, code: str, words: str
) -> None:
    says(run, answer)
    seen = outlook(run.root, "died", None, living=False, board=board(answer))
    assert seen is not None and (seen.state, seen.code) == (state, code)
    assert words in seen.words + seen.message


def test_what_slurm_said_last_is_kept_when_it_forgets(run: RunFolder) -> None:
    says(run, None, state="begun", begun=time.time() - 1800, nodes="gpu1")
    job = Job(started=time.time() - 1790, heartbeat=time.time() - 900, host="gpu1")
    ended = board(Listed("7", "OUT_OF_MEMORY", name="n"))
    seen = outlook(run.root, "died", job, living=False, board=ended)
    assert seen is not None and "--memory" in seen.advice
    again = outlook(run.root, "died", job, living=False, board=board(None))
    assert again is not None and again.code == "slurm.out_of_memory"


def test_a_run_out_of_sight_is_not_begun_twice(run: RunFolder) -> None:
    """Its heartbeat is old, as a network disk may show it, and Slurm says that it runs."""
    says(run, None, state="begun", begun=time.time() - 1800, nodes="gpu1")
    job = Job(started=time.time() - 1790, heartbeat=time.time() - 60, host="gpu1")
    seen = outlook(run.root, "died", job, living=False, board=board(Listed("7", "RUNNING", nodes="gpu1", name="n")))
    assert seen is not None and (seen.state, seen.held) == ("running", True) and "job 7 runs on gpu1" in seen.message


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.binary(max_size=200), st.builds(lambda text: text.encode(), st.text(max_size=100))))
def test_a_damaged_file_is_as_none(run: RunFolder, data: bytes) -> None:
    (run.root / "slurm.json").write_bytes(data)
    assert inspect(run).state == "died"


# -- sending, with Slurm's programs played by scripts


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of programs that come before all others."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


def plays(programs: Path, name: str, text: str) -> None:
    path = programs / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def test_a_refusal_is_quoted_and_kept(run: RunFolder, programs: Path) -> None:
    plays(programs, "sbatch", r"printf 'sbatch: error: no \033[31mluck: time limit\n' >&2; exit 1")
    with pytest.raises(UserError, match="no ␛\\[31mluck: time limit") as caught:
        send.send(run.root, Options())
    assert caught.value.code == "slurm.refused" and "--time" in caught.value.remedy
    assert (inspect(run).state, inspect(run).code) == ("failed", "slurm.refused")


def test_a_controller_that_does_not_answer_may_have_taken_the_job(run: RunFolder, programs: Path) -> None:
    plays(programs, "sbatch", "echo 'sbatch: error: Socket timed out on send/recv operation' >&2; exit 1")
    with pytest.raises(UserError) as caught:
        send.send(run.root, Options())
    assert caught.value.code == "slurm.silent"
    assert inspect(run).state == "waiting"  # until it is clear that nobody is there
    name = send.job_name(run.root)
    plays(programs, "squeue", f"echo '31|PENDING|Priority|||N/A|{name}'")
    with pytest.raises(UserError, match="as job 31") as again:
        send.send(run.root, Options())
    known = read_submission(run.root)
    assert again.value.code == "slurm.held" and known is not None and (known.job, known.state) == ("31", "sent")


def test_what_waits_is_found_from_anywhere_until_it_is_taken_back(run: RunFolder, programs: Path) -> None:
    plays(programs, "sbatch", "echo 12")
    plays(programs, "squeue", f"echo '12|PENDING|Priority|||N/A|{send.job_name(run.root)}'")
    plays(programs, "scancel", "true")
    send.send(run.root, Options())
    assert [info.run_dir for info in registry.living()] == [run.root]
    assert send.take_back(run.root) == "12" and registry.living() == []


def test_without_accounting_a_job_that_slurm_forgot_is_told_as_that(
    run: RunFolder, programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(programs))
    plays(programs, "squeue", "echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1")
    plays(programs, "sacct", "echo 'Slurm accounting storage is disabled' >&2; exit 1")
    for _what in ("disabled", "not there"):
        says(run, None)
        found = outlook(run.root, "new", None, living=False, board=Board())
        assert found is not None and (found.state, found.code) == ("died", "slurm.forgotten")
        (programs / "sacct").unlink(missing_ok=True)


def test_an_answer_that_is_no_number_is_no_job(run: RunFolder, programs: Path) -> None:
    plays(programs, "sbatch", "echo 'welcome to the cluster'; echo '12x;rm -rf'")
    with pytest.raises(UserError):
        send.send(run.root, Options())
    plays(programs, "sbatch", "echo 'welcome to the cluster'; echo '12;big'")
    assert send.send(run.root, Options()).cluster == "big"


def test_without_slurm_it_is_said_where_to_go(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UserError, match="login node") as caught:
        send.send(run.root, Options())
    assert caught.value.code == "slurm.missing" and not (run.root / "slurm.json").exists()


def test_what_sbatch_is_missing_for_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lora_tui.config.schema import Config
    from lora_tui.runs.start import start_run

    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UserError, match="login node"):
        start_run(Config(), tmp_path / "runs", slurm=Options())
    assert not (tmp_path / "runs").exists()


def test_the_queue_takes_options_of_slurm_only_for_slurm(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from lora_tui.cli.main import run as command

    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.toml").write_text("")
    for more, word in ((["--gpus", "2"], "--on slurm"), (["--no-requeue"], "--on slurm"), (["--dry-run"], "--dry-run")):
        assert command(["train", "x.toml", "--queue", *more]) == 2
        assert word in capsys.readouterr().err


# -- on the node


def begins(run: RunFolder, monkeypatch: pytest.MonkeyPatch, **known: object) -> Submission | None:
    says(run, None, **known)
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("SLURM_JOB_NODELIST", "gpu1")
    return node.claim(run)


def test_a_job_whose_run_was_given_to_another_leaves_it_alone(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    assert begins(run, monkeypatch, job="8") is None
    assert begins(run, monkeypatch, state="over", word="HERE") is None
    mine = begins(run, monkeypatch, state="asking", job="")  # it began before sbatch had said its number
    assert mine is not None and (mine.job, mine.state, mine.nodes) == ("7", "begun", "gpu1")


class Slurm:
    """Slurm as a node asks it; ``state`` of the job, and what was sent back to wait."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, state: str = "RUNNING") -> None:
        self.requeued: list[str] = []
        monkeypatch.setattr(calls, "ask", lambda jobs, _cluster: {job: Listed(job, state) for job in jobs})
        monkeypatch.setattr(calls, "requeue", self._requeue)

    def _requeue(self, job: str) -> Answer:
        self.requeued.append(job)
        return Answer(1, "", "scontrol: error: not allowed")


def life(run: RunFolder, sent: Submission, *, steps: int) -> int:
    """A turn on the node in which Slurm says at once that the time is nearly over."""
    trainer = Path(__file__).parents[1] / "small_trainer.py"
    command = [sys.executable, str(trainer), "--steps", str(steps), "--pause", "0.2", str(run.root)]
    one = node.Node(run, sent, command)
    one.told = 10
    return one.live()


@pytest.fixture(autouse=True)
def signals() -> object:
    import signal

    before = {number: signal.getsignal(number) for number in (signal.SIGUSR1, signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_its_time_is_over_and_it_goes_back_to_wait(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    slurm = Slurm(monkeypatch)
    write_job(run.root, Job(started=time.time()))
    sent = begins(run, monkeypatch)
    assert sent is not None
    assert life(run, sent, steps=500) == 0
    assert slurm.requeued == ["7"]
    told = tail_events(run.events_path)
    assert [event["what"] for event in told if event["kind"] == "slurm"] == ["begun", "signal", "requeued"]
    assert "not allowed" in next(event["message"] for event in told if event.get("code") == "slurm.requeue")


def test_a_cancelled_job_does_not_go_back_to_wait(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    slurm = Slurm(monkeypatch, "COMPLETING")
    sent = begins(run, monkeypatch)
    assert sent is not None
    life(run, sent, steps=500)
    known = read_submission(run.root)
    assert not slurm.requeued and known is not None and (known.state, known.word) == ("over", "CANCELLED")


def test_without_a_step_in_three_turns_it_gives_up(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    slurm = Slurm(monkeypatch)
    sent = begins(run, monkeypatch, idle=node.MOST_IDLE - 1)
    assert sent is not None
    assert life(run, sent, steps=0) == 0  # complete before it could be asked: nothing to give up
    one = node.Node(run, sent, ["true"])
    run.events_path.write_text('{"t":1,"kind":"attempt"}\n{"t":2,"kind":"finished","reason":"stopped","step":0}\n')
    one.since, one.told = 0, 10
    assert one.live() == 1 and not slurm.requeued
    until(lambda: any(event.get("code") == "slurm.idle" for event in tail_events(run.events_path)))
