"""``dataset check`` and ``dataset buckets``: exit statuses, JSON and lines for a person."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from crashing import crash_over_images
from PIL import Image

from lora_tui.cli.main import run
from lora_tui.config.schema import Config
from lora_tui.config.write import save_config
from lora_tui.project import Project


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORA_TUI_HOME", str(tmp_path_factory.mktemp("home")))
    monkeypatch.setenv("LORA_TUI_LANG", "en")


def an_image(path: Path, width: int = 512, height: int = 512, seed: int = 0, caption: str = "hatgirl") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.linear_gradient("L").rotate(seed * 37, fillcolor=seed * 60 % 256).resize((width, height))
    image.convert("RGB").save(path)
    path.with_suffix(".txt").write_text(caption)


def document(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    return dict(json.loads(capsys.readouterr().out))


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    for number, (width, height) in enumerate([(512, 512), (640, 384), (384, 640)]):
        an_image(tmp_path / "set" / "2_hat" / f"{number}.png", width, height, number)
    return tmp_path / "set"


def test_a_good_dataset_passes(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["dataset", "check", str(dataset)]) == 0
    assert "No problem found" in capsys.readouterr().out


def test_problems_give_status_3_and_a_document(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (dataset / "2_hat" / "0.txt").unlink()
    (dataset / "2_hat" / "bad.png").write_bytes(b"")
    assert run(["dataset", "check", str(dataset), "--json", "--purpose", "character", "--trigger", "hatgirl"]) == 3
    found = document(capsys)
    assert found["images"] == 3
    assert found["shown"] == 6
    assert found["captions"] == 2
    assert found["counts"] == {"caption.missing": 1, "dataset.few": 1, "image.empty": 1}
    assert found["problems"][0]["severity"] == "error"
    assert found["problems"][0]["path"].endswith("bad.png")


def test_kinds_have_headings_in_words_and_a_remedy_for_all(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(3):
        an_image(dataset / f"long{number}.png", 900, 50 + number, number)
        (dataset / "2_hat" / f"{number}.txt").unlink()
    run(["dataset", "check", str(dataset), "--quick"])
    told = capsys.readouterr().out
    assert "· Much of the image is cut away to fit its bucket. (3)" in told
    assert "image." not in told
    assert "Write one beside each image" in told
    assert "Write one into" not in told


def test_lines_name_the_files_and_the_remedy(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(3):
        (dataset / "2_hat" / f"{number}.txt").write_text("no trigger here")
    assert run(["dataset", "check", str(dataset), "--trigger", "[/x]\x1b[31m", "--quick"]) == 3
    out = capsys.readouterr().out
    assert "2_hat/1.txt" in out
    assert "[/x]␛[31m" in out
    assert "\x1b" not in out


def test_a_project_is_checked_with_what_it_knows(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Project.create(dataset.parent, purpose="style", trigger="watercolour")
    assert run(["dataset", "check", str(dataset.parent), "--json"]) == 3
    found = document(capsys)
    assert (found["purpose"], found["trigger"]) == ("style", "watercolour")
    assert found["counts"]["trigger.missing"] == 3


def test_a_project_is_checked_as_it_is_trained(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = Project.create(dataset.parent, trigger="watercolour")
    config = Config()
    config.data.resolution, config.saving.trigger = 1024, "hatgirl"
    save_config(config, project.configs / "one.toml")
    run(["dataset", "check", str(project.root), "--quick", "--json"])
    found = document(capsys)
    assert found["trigger"] == "hatgirl" and "image.small" in found["counts"]
    run(["dataset", "check", str(project.root), "--quick", "--json", "--resolution", "256"])
    assert "image.small" not in document(capsys)["counts"]


def test_the_command_that_is_named_mends_what_it_says(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = [b"hatgirl,, blue", "hatgirl\uff0cblue".encode(), b"blue, blue\xef"]
    for number, text in enumerate(texts):
        (dataset / "2_hat" / f"{number}.txt").write_bytes(text)
    assert run(["dataset", "check", str(dataset), "--quick", "--trigger", "hatgirl"]) == 3
    told = capsys.readouterr().out.strip().splitlines()[-1].partition("lora-tui ")[2]
    assert run(shlex.split(told)) in (0, 3)
    run([word for word in shlex.split(told) if word != "--dry-run"])
    assert run(["dataset", "check", str(dataset), "--quick", "--trigger", "hatgirl"]) == 0


def test_buckets_and_their_batches(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["dataset", "buckets", str(dataset), "--json", "--batch-size", "4"]) == 0
    found = document(capsys)
    assert [(row["width"], row["height"], row["images"], row["batches"]) for row in found["buckets"]] == [
        (384, 640, 1, 1),
        (512, 512, 1, 1),
        (640, 384, 1, 1),
    ]
    assert (found["shown"], found["batches_per_epoch"], found["batch_size"]) == (6, 3, 4)


def test_bucket_settings_can_be_given(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["dataset", "buckets", str(dataset), "--json", "--resolution", "256", "--no-buckets", "--repeats", "5"]
    assert run(command) == 0
    found = document(capsys)
    assert [(row["width"], row["height"]) for row in found["buckets"]] == [(256, 256)]
    assert found["shown"] == 15


def test_a_family_says_what_is_too_small(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["dataset", "check", str(dataset), "--family", "sd15", "--quick"]) == 0
    assert run(["dataset", "check", str(dataset), "--family", "sdxl", "--quick"]) == 3
    assert "enlarged" in capsys.readouterr().out


def test_buckets_as_a_table(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["dataset", "buckets", str(dataset)]) == 0
    out = capsys.readouterr().out
    assert "640 x 384" in out
    assert "3 images, 6 shown an epoch" in out


@pytest.mark.parametrize(
    "arguments",
    [
        ["check", "/nowhere/at/all"],
        ["check", ""],
        ["buckets", "/nowhere/at/all"],
        ["check", "{set}", "--purpose", "nonsense"],
        ["buckets", "{set}", "--resolution", "3"],
        ["buckets", "{set}", "--step", "17"],
        ["buckets", "{set}", "--batch-size", "0"],
        ["buckets", "{set}", "--repeats", "0"],
        ["buckets", "{empty}"],
    ],
)
def test_wrong_input_is_status_2_and_one_line(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    (tmp_path / "empty").mkdir()
    given = [argument.format(set=dataset, empty=tmp_path / "empty") for argument in arguments]
    assert run(["dataset", *given]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "Traceback" not in shown.err
    assert run(["dataset", *given, "--json"]) == 2
    assert document(capsys)["error"]["message"]


def test_an_empty_folder_is_a_problem(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["dataset", "check", str(tmp_path), "--json"]) == 3
    assert document(capsys)["counts"] == {"dataset.empty": 1}


def test_an_image_that_takes_its_decoder_down_is_named_and_the_others_are_checked(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    crash_over_images(monkeypatch, tmp_path / "hook", "lora_tui.dataset.decoder_process")
    an_image(dataset / "2_hat" / "crash.png", 512, 512, 7)
    an_image(dataset / "2_hat" / "crash too.bmp", 512, 512, 8)  # already its header takes it down
    an_image(dataset / "2_hat" / "clear.png", 512, 512, 9)
    Image.merge("LA", [Image.linear_gradient("L").resize((512, 512))] * 2).save(dataset / "2_hat" / "clear.png")
    assert run(["dataset", "check", str(dataset), "--json", "--jobs", "3"]) == 3
    found = {(Path(problem["path"]).name, problem["code"]) for problem in document(capsys)["problems"]}
    assert found == {
        ("crash.png", "image.crashed"),
        ("crash too.bmp", "image.crashed"),
        ("clear.png", "image.alpha"),
    }


@pytest.mark.parametrize("jobs", ["0", "-1", "65", "two"])
def test_a_number_of_processes_is_within_reason(dataset: Path, jobs: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["dataset", "check", str(dataset), f"--jobs={jobs}"]) == 2
    assert "from 1 to 64" in capsys.readouterr().err
