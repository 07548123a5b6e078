"""``lora-tui tag``: shown first, written, taken back; what a script reads, and how mistakes are told."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from caption_folders import contents
from support import until
from tagger_builders import make_images, make_wd14
from tagging_server import said, serving

from lora_tui.cli.main import run
from lora_tui.dataset.notes import change_notes


@pytest.fixture
def wd(tmp_path: Path) -> Path:
    return make_wd14(tmp_path / "wd-tiny")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return make_images(tmp_path / "data", {"blue": "blue", "red": "red"})


def told(capsys: pytest.CaptureFixture[str], *argv: object, status: int = 0) -> Any:
    capsys.readouterr()
    assert run([*map(str, argv), "--json"]) == status
    return json.loads(capsys.readouterr().out)


def test_shown_first_then_written_then_taken_back(data: Path, wd: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = contents(data)
    command = ("tag", data, "--model", wd, "--device", "cpu", "--threads", 1)
    shown = told(capsys, *command, "--dry-run")
    assert shown["images"] == 2
    assert shown["samples"][0] == {"image": "blue.png", "before": None, "after": "blue theme, 1girl"}
    assert shown["tags"]["1girl"] == 2
    assert (shown["dry_run"], shown["transactions"]) == (True, [])
    assert shown["models"] == [{"name": "wd-tiny", "answered": 2, "kept": 0, "failed": 0, "device": "CPU"}]
    assert contents(data) == before
    done = told(capsys, *command, "--character-threshold", 2)
    assert done["models"][0]["kept"] == 2
    assert [one["files"] for one in done["transactions"]] == [2]
    assert (data / "red.txt").read_text() == "red theme, 1girl, long hair"
    assert told(capsys, *command)["skipped"] == 2
    told(capsys, "captions", "undo", data)
    assert contents(data) == before


def test_what_a_person_reads(data: Path, wd: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (data / "torn.png").write_bytes(b"\x89PNG")
    assert run(["tag", str(data), "--model", str(wd), "--threads", "1"]) == 1
    out = capsys.readouterr()
    assert "+ red theme, saber (fate), 1girl, long hair" in out.out
    assert "2 of 3 images change" in out.out
    assert "new tags: 1girl 2" in out.out
    assert "1: 2 files written  (tag wd-tiny skip)" in out.out
    assert "wd-tiny: 2 images (CPU)" in out.err
    assert "torn.png: This is not an image" in out.err


def test_every_rule_has_its_option(data: Path, wd: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told(
        capsys, "tag", data, "--model", f"wd14:{wd}@0.9", "--tagger", "auto", "--threads", 1, "--rating", "last",
        "--rating-threshold", 0.5, "--other-threshold", 0.5, "--order", "vocabulary", "--character-first",
        "--undesired", "solo, blue*", "--first", "1girl", "--replace", "red_theme", "red, red theme",
        "--expand-characters", "--escape", "--trigger", "hatgirl", "--combine", "vote", "--votes", 1, "--image", "red",
    )  # fmt: skip
    assert (data / "red.txt").read_text() == r"hatgirl, 1girl, saber \(fate\), fate, red, red theme, general"
    assert not (data / "blue.txt").exists()


def test_thresholds_are_shown_before_one_is_chosen(data: Path, wd: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (data / "red.txt").write_text("mine")
    found = told(capsys, "tag", data, "--model", wd, "--threads", 1, "--tune")
    assert found["images"] == 2
    tags = [row["tags"] for row in found["thresholds"]]
    assert tags == sorted(tags, reverse=True)
    chosen = next(row for row in found["thresholds"] if row["threshold"] == 0.35)
    assert (chosen["come"], chosen["gone"], chosen["tags"]) == (0, 0, 6)
    assert not (data / "blue.txt").exists()
    assert run(["tag", str(data), "--model", str(wd), "--tune"]) == 0
    assert "threshold" in capsys.readouterr().out


def test_filters_by_kept_scores(data: Path, wd: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told(capsys, "tag", data, "--model", wd, "--threads", 1)
    listed = told(capsys, "captions", "list", data, "--where", "score(red_theme)<.4 by:wd-tiny")
    assert [row["image"] for row in listed] == ["blue.png"]
    log = told(capsys, "captions", "log", data)
    assert [(row["author"], row["operation"]) for row in log] == [("tagger:wd-tiny", "tag wd-tiny skip")]


def test_the_project_s_trigger_word_goes_first(
    data: Path, wd: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["new", str(tmp_path), "--trigger", "hatgirl", "--purpose", "character", "--dataset", str(data)]) == 0
    assert run(["tag", str(data), "--model", str(wd), "--threads", "1", "--dry-run"]) == 0
    out = capsys.readouterr()
    assert "hatgirl" in out.err
    assert "+ hatgirl, blue theme" in out.out
    assert run(["tag", str(data), "--model", str(wd), "--dry-run", "--trigger", ""]) == 0
    assert "+ blue theme" in capsys.readouterr().out


def test_another_ending(data: Path, wd: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told(capsys, "tag", data, "--model", wd, "--threads", 1, "--extensions", ".wd14.txt")
    assert sorted(path.name for path in data.glob("*.txt")) == ["blue.wd14.txt", "red.wd14.txt"]
    told(capsys, "tag", data, "--model", wd, "--threads", 1, "--profile", "sd-scripts")
    assert sorted(path.name for path in data.glob("*.caption")) == ["blue.caption", "red.caption"]


def test_a_server(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prompt = tmp_path / "prompt.txt"
    prompt.write_text("What is {name}?\n")
    with serving(lambda number, body: said("A cat.")) as server:
        found = told(
            capsys, "tag", data, "--url", server.url, "--model", "qwen/vl", "--prompt-file", prompt,
            "--parallel", 1, "--retries", 0, "--retry-wait", 0, "--timeout", 5, "--max-side", 32, "--max-tokens", 9,
            "--temperature", 0.1,
        )  # fmt: skip
    assert [one["messages"][0]["content"][0]["text"] for one in server.seen] == ["What is blue?", "What is red?"]
    assert found["models"][0]["name"] == "qwen/vl"
    assert (data / "red.txt").read_text() == "A cat."


def test_ctrl_c_leaves_captions_alone_and_the_same_command_goes_on(tmp_path: Path, wd: Path) -> None:
    data = make_images(tmp_path / "many", {f"{n:03d}": (n, 0, 255 - n) for n in range(200)})
    command = [sys.executable, "-m", "lora_tui", "tag", str(data), "--model", str(wd), "--batch", "1", "--threads", "1"]
    store = Path(os.environ["LORA_TUI_HOME"]) / "cache"
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until(lambda: list(store.glob("answers-*.sqlite")), 30)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "the same command goes on" in err
    assert not list(data.glob("*.txt"))
    assert out == ""
    again = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert again.returncode == 0, again.stderr
    assert len(list(data.glob("*.txt"))) == 200


@pytest.mark.parametrize(
    ("argv", "code", "word"),
    [
        (["--model", "nothing"], "tagger.kind", "--tagger"),
        (["--model", "./nothing"], "tagger.missing", "no such folder"),
        (["--tagger", "wd14", "--model", "nothing"], "tagger.missing", "wd-vit-tagger-v3"),
        (["--tagger", "endpoint", "--model", "m"], "tagger.url", "--url"),
        (["--tagger", "endpoint", "--url", "http://127.0.0.1:1"], "tagger.endpoint_model", "--model"),
        (["--url", "http://127.0.0.1:1", "--model", "m", "--prompt", "{x}"], "tagger.prompt", "{tags}"),
        (["--url", "http://127.0.0.1:1", "--model", "m", "--prompt-file", "no"], "tagger.prompt", "No such file"),
        (["--threshold", "-1"], "tagger.threshold", "0 to 1"),
        (["--device", "tpu"], "tagger.request", "device"),
        (["--where", "(("], "query", "column"),
        (["--existing", "eat"], "usage", "eat"),
    ],
)
def test_mistakes(data: Path, capsys: pytest.CaptureFixture[str], argv: list[str], code: str, word: str) -> None:
    error = told(capsys, "tag", data, *argv, status=2)["error"]
    assert error["code"] == code
    assert word in json.dumps(error)


def test_no_such_folder(capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys, "tag", "/nowhere/at/all", status=2)["error"]["code"] == "captions.folder"


def test_without_the_library_the_remedy_is_a_command(data: Path, wd: Path) -> None:
    """On a base install: an onnxruntime that cannot be imported lies in the way of the worker."""
    program = (
        "import sys, os\n"
        "from lora_tui import python\n"
        "block = \"import sys; sys.modules['onnxruntime'] = None; import runpy; \" \\\n"
        "    \"runpy.run_module('lora_tui.tagging.worker', run_name='__main__')\"\n"
        "import lora_tui.tagging.apart as apart\n"
        "apart.python_command = lambda *given: [sys.executable, '-P', '-c', block]\n"
        "from lora_tui.cli.main import run\n"
        f"sys.exit(run(['tag', {str(data)!r}, '--model', {str(wd)!r}]))\n"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 2, result.stderr
    assert "onnxruntime is not installed" in result.stderr
    assert "lora-tui[tag]" in result.stderr


def test_the_command_itself_loads_no_model_library(data: Path, wd: Path) -> None:
    program = (
        "import sys\n"
        "from lora_tui.cli.main import run\n"
        f"assert run(['tag', {str(data)!r}, '--model', {str(wd)!r}, '--threads', '1', '--json']) == 0\n"
        "heavy = {'torch', 'transformers', 'onnxruntime', 'numpy', 'textual'} & set(sys.modules)\n"
        "sys.exit(f'loaded: {heavy}' if heavy else 0)\n"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stderr


def test_images_that_are_left_out_are_tagged_where_they_are_chosen(
    data: Path, wd: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change_notes(data, lambda notes: notes.excluding("blue.png"))
    command = ("tag", str(data), "--model", str(wd), "--device", "cpu", "--threads", "1")
    assert run(list(command)) == 0
    assert "1 image that is left out is not tagged" in " ".join(capsys.readouterr().err.split())
    assert {path.name for path in data.glob("*.txt")} == {"red.txt"}
    assert told(capsys, *command, "--where", "is:excluded", "--dry-run")["images"] == 1
