"""Runs on a real Slurm: sent, watched, asked, preempted, sent back to wait, resumed to the same bits.

The nodes have another host name than this machine, so that only heartbeats tell that a run lives.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cluster import Cluster
from lives import events, lean_config, lora, new_run, same_tensors, start
from support import until

from lora_tui.config.load import save_config
from lora_tui.jobs.job import read_job
from lora_tui.jobs.process import host
from lora_tui.jobs.slurm.submission import read_submission
from lora_tui.runs.folder import RunFolder

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(900)]

STEPS = {"epochs": 30, "batch_size": 4}
LONG = 300.0
"""Seconds that are waited at most, on a machine that does other things, too."""
SAVING = {"name": "blob", "every_epochs": 0, "state_every_steps": 10}


class Person:
    """Somebody on the login node, whose every act is a process of its own."""

    def __init__(self, folder: Path, base: Path, images: Path, **sections: Any) -> None:
        self.folder = folder
        self.config = lean_config(base, images, **{"steps": STEPS, "saving": SAVING, **sections})
        save_config(self.config, folder / "blob.toml")

    def types(self, *words: str) -> subprocess.CompletedProcess[str]:
        """``lora-tui WORDS``."""
        line = [sys.executable, "-P", "-m", "lora_tui", *words]
        return subprocess.run(
            line, cwd=self.folder, capture_output=True, text=True, timeout=LONG, stdin=subprocess.DEVNULL
        )

    def sends(self, *options: str) -> RunFolder:
        """A run, to Slurm."""
        done = self.types("train", "blob.toml", "--on", "slurm", "--time", "30", "--detach", "--json", *options)
        assert done.returncode == 0, done.stderr
        return RunFolder(Path(json.loads(done.stdout)["run"]))

    def sends_small(self, *options: str) -> RunFolder:
        """A run that learns nothing, without the seconds that torch takes to load."""
        program = Path(__file__).with_name("small_node.py")
        exec_line = f'exec {sys.executable} -P {program} "$SLURM_SUBMIT_DIR"'
        paths = f"export PYTHONPATH={Path(__file__).parents[2]}"
        return self.sends("--setup", paths, "--setup", exec_line, *options)

    def sees(self, run: RunFolder) -> dict[str, Any]:
        """How the run stands."""
        done = self.types("runs", "show", run.name, "--json")
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout))

    def waits_for(self, run: RunFolder, *states: str, seconds: float = LONG) -> dict[str, Any]:
        """Until the run is in one of ``states``; how it stands then."""

        def there() -> dict[str, Any] | None:
            seen = self.sees(run)
            return seen if seen["state"] in states else None

        found = until(there, seconds, every=0.3)
        assert found is not None
        return found


@pytest.fixture
def person(slurm: Cluster, tmp_path: Path, base: Path, few: Path) -> Person:
    drawn = {"prompt": "a circle", "width": 64, "height": 64, "steps": 2}  # only when somebody asks for it
    return Person(tmp_path, base, few, samples=[drawn], sampling={"at_start": False, "every_epochs": 0})


@pytest.fixture(scope="session")
def unbroken(base: Path, few: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], dict[str, Any]]:
    """The tensors of the same training without Slurm and without a break."""
    run = new_run(tmp_path_factory.mktemp("unbroken"), lean_config(base, few, steps=STEPS, saving=SAVING))
    life = start(run)
    made: list[dict[str, Any]] = []

    def tensors() -> dict[str, Any]:
        if not made:
            assert life.wait(LONG) == 0, run.log_path.read_text()
            made.append(lora(run))
        return made[0]

    return tensors


def reached(run: RunFolder, number: int) -> Callable[[], bool]:
    return lambda: any(event["step"] >= number for event in events(run, "step"))


def lives(run: RunFolder) -> int:
    return len(events(run, "attempt"))


def job_of(run: RunFolder) -> str:
    known = read_submission(run.root)
    assert known is not None and known.job
    return known.job


def test_a_run_is_watched_and_asked_from_here_told_to_go_and_resumed_to_the_same_bits(
    person: Person, slurm: Cluster, unbroken: Callable[[], dict[str, Any]]
) -> None:
    run = person.sends()
    until(reached(run, 3), LONG)
    job = read_job(run.root)
    assert job is not None and job.host == "localhost" != host()  # another machine, as far as we can tell
    seen = person.sees(run)
    assert seen["state"] == "running" and f"Slurm job {job_of(run)} on node" in seen["slurm"]["words"]
    assert person.types("runs", "save", run.name).returncode == 0
    until(lambda: any(run.checkpoints_dir.iterdir()), LONG)
    assert person.types("runs", "sample", run.name).returncode == 0
    until(lambda: list(run.samples_dir.glob("*.png")), LONG)
    assert "●" in person.types("watch", "--line", run.name).stdout

    slurm.said("scancel", "--signal=TERM", job_of(run))  # as Slurm preempts
    until(lambda: (read_submission(run.root) or 0).state == "requeued" or lives(run) > 1, LONG)  # type: ignore[union-attr]
    assert person.waits_for(run, "waiting", "starting", "running", "finished")["can_resume"] is False
    assert person.waits_for(run, "finished")["slurm"] is None
    resumed = events(run, "resumed")
    assert lives(run) == 2 and 3 <= resumed[0]["step"] < 90
    assert same_tensors(lora(run), unbroken())
    until(lambda: job_of(run) not in slurm.said("squeue", "-h"), LONG)


def test_a_job_with_more_priority_takes_the_nodes_and_gives_them_back(person: Person, slurm: Cluster) -> None:
    run = person.sends_small("--nodes", "1", "--sbatch", "exclusive", "--sbatch", "nodelist=node1")
    until(reached(run, 3), LONG)
    slurm.submit("-p", "urgent", "--exclusive", "--nodelist=node1", "--wrap", "sleep 2")
    until(lambda: events(run, "resumed"), LONG)
    assert [event["reason"] for event in events(run, "finished")] == ["stopped"]
    assert events(run, "signal")[0]["number"] == 15
    assert events(run, "resumed")[0]["step"] == events(run, "finished")[0]["step"]
    stopped = person.types("runs", "stop", run.name)
    assert stopped.returncode == 0, stopped.stderr
    assert person.sees(run)["state"] == "stopped"


def test_the_time_limit_saves_the_run_and_sends_it_back_to_wait(person: Person, slurm: Cluster) -> None:
    run = person.sends_small("--time", "1")
    until(lambda: any(event["what"] == "signal" for event in events(run, "slurm")), LONG)
    until(lambda: events(run, "resumed"), LONG)
    first = events(run, "finished")[0]
    assert (first["reason"], events(run, "resumed")[0]["step"]) == ("stopped", first["step"])
    slurm.said("scancel", job_of(run))  # by a person, while it is at work: it saves and does not come back
    until(lambda: person.sees(run)["state"] == "stopped", LONG, every=0.3)
    assert len(events(run, "finished")) == 2 and lives(run) == 2
    until(lambda: job_of(run) not in slurm.said("squeue", "-h", "-o", "%i"), LONG)
    assert person.sees(run)["can_resume"]


def test_what_waits_says_why_and_is_taken_back(person: Person, slurm: Cluster) -> None:
    run = person.sends("--sbatch", "begin=now+1hour")
    seen = person.sees(run)
    assert (seen["state"], seen["alive"]) == ("waiting", True)
    assert "for its time to begin" in person.types("runs", "list").stdout
    asked = person.types("runs", "save", run.name)
    assert asked.returncode == 2 and "waits in Slurm" in asked.stderr
    again = person.types("runs", "resume", run.name)
    assert again.returncode == 2 and "runs stop" in again.stderr
    stopped = person.types("runs", "stop", run.name)
    assert stopped.returncode == 0 and job_of(run) in stopped.stdout
    assert job_of(run) not in slurm.said("squeue", "-h", "-t", "PD")
    assert (person.sees(run)["state"], person.sees(run)["can_resume"]) == ("stopped", True)


def test_a_cluster_that_refuses_is_quoted_and_the_run_goes_there_later(person: Person) -> None:
    refused = person.types("train", "blob.toml", "--on", "slurm", "--partition", "nowhere", "--detach")
    assert refused.returncode == 2 and "invalid partition specified: nowhere" in refused.stderr
    (root,) = (person.folder / "runs").iterdir()
    seen = person.sees(RunFolder(root))
    assert (seen["state"], seen["code"]) == ("failed", "slurm.refused") and "nowhere" in seen["message"]
    sent = person.types("runs", "resume", root.name, "--partition", "main", "--sbatch", "begin=now+1hour")
    assert sent.returncode == 0 and "Sent to Slurm" in sent.stdout
    assert person.types("runs", "stop", root.name).returncode == 0


def test_a_job_that_is_killed_or_forgotten_is_said_to_be(person: Person, slurm: Cluster) -> None:
    run = person.sends("--sbatch", "begin=now+1hour")
    slurm.said("scancel", job_of(run))
    assert person.waits_for(run, "stopped")["code"] == "slurm.cancelled"

    known = json.loads((run.root / "slurm.json").read_text())
    known.update(job="99999", state="sent", sent=known["sent"] - 600, word="")
    (run.root / "slurm.json").write_text(json.dumps(known))
    seen = person.sees(run)
    assert (seen["state"], seen["code"]) == ("died", "slurm.forgotten") and seen["can_resume"]


def test_a_folder_that_the_nodes_do_not_see_is_named(person: Person, slurm: Cluster) -> None:
    run = person.sends("--runs", str(slurm.hidden / "runs"))

    def ended() -> bool:
        shown = json.loads(person.types("runs", "show", str(run.root), "--json").stdout)
        return (shown["state"], shown["code"]) == ("died", "slurm.folder")

    until(ended, LONG, every=0.5)


def test_a_run_on_two_nodes_is_preempted_and_goes_on(person: Person, slurm: Cluster) -> None:
    run = person.sends("--nodes", "2", "--set", "steps.gradient_accumulation=2", "--set", "steps.batch_size=2")
    until(reached(run, 2), LONG)
    slurm.said("scancel", "--signal=TERM", job_of(run))
    until(lambda: lives(run) == 2 and events(run, "resumed")[-1]["step"] > 1, LONG)
    assert events(run, "run")[0]["processes"] == 2
    assert events(run, "finished")[0]["reason"] == "stopped"
    assert {event["nodes"] for event in events(run, "slurm") if event["what"] == "begun"} == {"node[1-2]"}
    assert person.types("runs", "stop", run.name).returncode == 0
    assert person.sees(run)["state"] == "stopped"


def test_runs_are_queued_for_the_cluster_one_after_the_other(
    slurm: Cluster, tmp_path: Path, base: Path, few: Path
) -> None:
    person = Person(tmp_path, base, few, steps={"epochs": 1})
    options = ("--json", "train", "blob.toml", "--on", "slurm", "--time", "30")
    for words in ((), ("--after", "1")):
        added = person.types("queue", "add", *words, *options)
        assert added.returncode == 0, added.stderr

    def listed() -> list[dict[str, Any]]:
        jobs = json.loads(person.types("queue", "list", "--json").stdout)["jobs"]
        return sorted(jobs, key=lambda job: int(job["id"]))

    until(lambda: {job["state"] for job in listed()} <= {"done", "failed", "stopped"}, LONG, every=0.5)
    one, other = listed()
    assert (one["state"], other["state"]) == ("done", "done"), (one, other)
    sent = [job_of(RunFolder(Path(job["place"]))) for job in (one, other)]
    assert sent[0] != sent[1]
    assert other["started"] >= one["ended"]
