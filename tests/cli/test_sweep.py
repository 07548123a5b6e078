"""``lora-tui sweep`` as a person and a script use it; the queue is stopped, so that nothing is trained."""

import csv
import io
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image
from run_folders import write_run

from lora_tui.cli.main import run
from lora_tui.config.load import load_config
from lora_tui.jobs.queue.door import remove
from lora_tui.jobs.queue.journal import read_queue, turn
from lora_tui.project import Project
from lora_tui.runs.folder import RunFolder
from lora_tui.runs.record import update_record
from lora_tui.sweeps.folder import list_sweeps, membership, open_sweep
from lora_tui.sweeps.queueing import enqueue_unstarted, start
from lora_tui.sweeps.reading import read_sweep

pytestmark = pytest.mark.usefixtures("may_fetch")


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The configuration of a project with six images, in whose folder we are; the queue starts nothing."""
    folder = tmp_path / "hat" / "images"
    folder.mkdir(parents=True)
    for number in range(6):
        Image.new("RGB", (64, 64), (number * 40, 10, 200 - number * 30)).save(folder / f"{number}.png")
        (folder / f"{number}.txt").write_text("hatgirl, hat")
    Project.create(tmp_path / "hat", purpose="style", trigger="hatgirl", base_model="owner/model", price_per_hour=0.4)
    monkeypatch.chdir(tmp_path / "hat")
    assert run(["config", "new", "--set", "steps.epochs=3", "--set", "memory.device=cpu"]) == 0
    with turn() as change:
        change.say(stopped=True)
    return tmp_path / "hat" / "configs" / "hat.toml"


def answer(capsys: pytest.CaptureFixture[str]) -> dict:
    return json.loads(capsys.readouterr().out)


TWO = ["--vary", "network.rank=8,16", "--vary", "learning.unet_lr=1e-4,2e-4"]


def started(config: Path, capsys: pytest.CaptureFixture[str], *more: str) -> dict:
    capsys.readouterr()
    assert run(["sweep", str(config), *(more or TWO), "--json"]) == 0
    return answer(capsys)


def a_run_of(sweep: Path, member: str, **more: object) -> RunFolder:
    """A run of that member, as ``train`` makes one, with a course that was not trained."""
    made = write_run(sweep.parent.parent / "runs", name=member, **more)
    update_record(made, **membership(sweep / "configs" / f"{member}.toml"))
    return made


def test_a_dry_run_plans_every_run_and_starts_none(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert run(["sweep", str(config), *TWO, "--vary", "steps.seed=1,1", "--dry-run"]) == 0
    told = capsys.readouterr().out
    assert "hat-rank16-lr2e-4" in told and "4 runs" in told and "disk" in told
    assert "is the same run as hat-rank8-lr1e-4 and is there once" in told
    assert run(["sweep", "start", str(config), *TWO, "--dry-run", "--json"]) == 0
    plan = answer(capsys)
    assert plan["done"] is False and plan["count"] == 4
    assert plan["total_steps"] == sum(one["total_steps"] for one in plan["runs"]) > 0
    assert plan["runs"][3]["values"] == {"network.rank": 16, "learning.unet_lr": 2e-4}
    assert not (config.parent.parent / "sweeps").exists() and not read_queue().jobs


def test_all_runs_are_put_into_the_queue_once(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = started(config, capsys)
    folder = Path(told["sweep"])
    jobs = read_queue().waiting()
    assert [job.title for job in jobs] == [one["name"] for one in told["queued"]]
    assert [job.title for job in jobs] == [one["name"] for one in told["runs"]]
    assert all(job.group == folder.name and job.gpus == 0 and not job.after for job in jobs)
    member = load_config(Path(jobs[3].command[1]))
    assert (member.network.rank, member.learning.unet_lr, member.saving.name) == (16, 2e-4, "hat-rank16-lr2e-4")
    assert run(["sweep", "continue", "--json"]) == 0
    assert answer(capsys)["queued"] == []  # they wait there already
    remove([jobs[1].id])
    assert run(["sweep", "continue", str(folder), "--one-after-another", "--json"]) == 0
    assert [one["name"] for one in answer(capsys)["queued"]] == [jobs[1].title]


def test_two_who_go_on_at_once_put_each_run_there_once(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = open_sweep(Path(started(config, capsys)["sweep"]))
    remove([job.id for job in read_queue().waiting()])
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _number: enqueue_unstarted(made), range(4)))
    assert sorted(len(jobs) for jobs in found) == [0, 0, 0, 4]
    assert len(read_queue().waiting()) == 4


def test_one_after_another_waits_for_the_one_before_however_it_ended(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    started(config, capsys, *TWO, "--one-after-another")
    jobs = read_queue().waiting()
    assert [job.after for job in jobs] == [(), *((job.id,) for job in jobs[:-1])]
    assert {job.if_failed for job in jobs[1:]} == {"run"}


def test_asking_again_for_what_was_cut_short_goes_on_and_puts_no_run_there_twice(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_args: object, **_more: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as cut:
        cut.setattr("lora_tui.sweeps.queueing.add", killed)
        assert run(["sweep", str(config), *TWO]) != 0
    first = started(config, capsys)
    assert first["again"] and len(first["queued"]) == 4
    assert started(config, capsys)["queued"] == []
    assert len(list_sweeps(config.parent.parent / "runs")) == 1
    sweep = open_sweep(Path(first["sweep"]))
    for one in sweep.members:
        a_run_of(sweep.root, one.name, steps=1, ending="completed")
    assert len(started(config, capsys)["queued"]) == 4, "all of it has run: once more is meant"
    assert len(started(config, capsys, *TWO, "--name", "other")["queued"]) == 4
    remove(list(read_queue().jobs))


def test_runs_learn_on_the_gpu_that_the_queue_gives(config: Path) -> None:
    start(read_sweep(config, ["network.rank=8,16"], values=["memory.device=cuda:1"]), config.parent.parent / "runs")
    assert all(job.command[-2:] == ("--set", "memory.device=cuda") for job in read_queue().waiting())
    remove(list(read_queue().jobs))


def test_nothing_starts_where_one_run_is_wrong(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = ["sweep", str(config), "--vary", "datasets.0.path=images,nowhere"]
    capsys.readouterr()
    assert run(wrong) == 2
    assert "hat-path-1-nowhere: datasets.0.path" in capsys.readouterr().err
    assert run([*wrong, "--dry-run"]) == 3
    assert not read_queue().jobs and not list_sweeps(config.parent.parent / "runs")


def test_many_runs_want_a_word_more(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert run(["sweep", str(config), "--set", "network.rank=2", "--vary", "steps.seed=1-17"]) == 2
    assert "17 runs are many. Nothing was started. --yes starts them." in capsys.readouterr().err
    assert not read_queue().jobs
    assert len(started(config, capsys, "--set", "network.rank=2", "--vary", "steps.seed=1-17", "--yes")["queued"]) == 17


def test_the_table_has_what_varies_and_what_came_of_it(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = Path(started(config, capsys)["sweep"])
    a_run_of(folder, "hat-rank8-lr1e-4", steps=50, total=100, ending="failed")
    a_run_of(folder, "hat-rank8-lr1e-4", steps=100, total=100, ending="completed")
    a_run_of(folder, "hat-rank8-lr2e-4", steps=50, total=100, ending="died")
    remove([job.id for job in read_queue().waiting()][3:])
    assert run(["sweep", "table", "--json", "--dir", str(config.parent.parent)]) == 0
    table = answer(capsys)
    assert [one["state"] for one in table["runs"]] == ["finished", "died", "queued", "missing"]
    first = table["runs"][0]
    assert first["values"] == {"network.rank": 8, "learning.unet_lr": 1e-4}
    assert first["best_validation"] == pytest.approx(0.101, abs=0.001) and first["best_validation_step"] == 100
    assert first["step"] == 100 and Path(first["best"]).name == "hat-girl-000100.safetensors"
    assert table["best"] == "hat-rank8-lr1e-4"
    assert run(["sweep", "table", "hat", "--csv", "--sort", "-lr"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["learning.unet_lr"] for row in rows] == ["0.0002", "0.0002", "0.0001", "0.0001"]
    assert run(["sweep", "table", folder.name]) == 0
    shown = capsys.readouterr().out
    assert "1 finished, 1 died, 1 in the queue, 1 not started" in shown
    assert "× hat-rank8-lr2e-4: The system killed it for want of memory" in shown
    assert run(["sweep", "table", "--sort", "nothing"]) == 2
    assert run(["sweep", "continue", "--json"]) == 0
    assert [one["name"] for one in answer(capsys)["queued"]] == ["hat-rank16-lr2e-4"]  # the one that is nowhere


def test_runs_of_a_sweep_are_found_by_its_name(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = Path(started(config, capsys)["sweep"])
    mine = a_run_of(folder, "hat-rank16-lr1e-4", steps=3)
    write_run(folder.parent.parent / "runs", name="hat-rank16-lr1e-4", steps=3)
    for wish in ("sweep:hat", f"sweep={folder.name}", "is:sweep", "sweep:rank16"):
        assert run(["runs", "list", "--where", wish, "--json"]) == 0
        assert [one["run"] for one in answer(capsys)["runs"]] == [str(mine.root)]
    assert run(["sweep", "list", "--json"]) == 0
    assert answer(capsys)["sweeps"][0]["counts"] == {"queued": 3, "died": 1}


def test_a_run_is_of_a_sweep_only_as_it_was_planned(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = Path(started(config, capsys)["sweep"])
    assert membership(config) == {}
    assert membership(folder / "configs" / "another.toml") == {}
    member = folder / "configs" / "hat-rank8-lr1e-4.toml"
    assert membership(member)["sweep"]["name"] == folder.name
    (folder / "sweep.json").write_text("{")
    assert membership(member) == {}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 1}', '{"format": 9}', '{"members": [3], "runs": 1}'])
def test_a_damaged_folder_is_told_and_holds_up_nothing(
    config: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(started(config, capsys)["sweep"])
    (folder / "sweep.json").write_text(text)
    assert run(["sweep", "table", str(folder)]) == 2
    assert str(folder) in capsys.readouterr().err
    assert run(["sweep", "list", "--json"]) == 0
    assert answer(capsys)["sweeps"] == []


def test_a_configuration_that_is_gone_is_told(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = Path(started(config, capsys)["sweep"])
    remove([job.id for job in read_queue().waiting()])
    (folder / "configs" / "hat-rank8-lr1e-4.toml").unlink()
    assert run(["sweep", "continue"]) == 2
    assert "hat-rank8-lr1e-4.toml: There is no such file." in capsys.readouterr().err
    assert not read_queue().jobs
