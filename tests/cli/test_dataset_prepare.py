"""``dataset prepare``: the table first, then the images; Ctrl+C leaves it to be gone on with by the same command."""

from __future__ import annotations

import hashlib
import json
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from support import until

from lora_tui.cli.main import run


def an_image(path: Path, width: int = 300, height: int = 200, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    chance = random.Random(seed)
    small = Image.frombytes("RGB", (12, 8), bytes(chance.randrange(256) for _byte in range(288)))
    small.resize((width, height), Image.Resampling.BICUBIC).save(path)
    path.with_suffix(".txt").write_text(f"hatgirl {seed}")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    for number in range(3):
        an_image(tmp_path / "src" / "10_hat" / f"{number}.png", seed=number)
    return tmp_path / "src"


def document(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    return dict(json.loads(capsys.readouterr().out))


def test_a_dry_run_shows_before_and_after_and_writes_nothing(
    tmp_path: Path, source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    an_image(source / "tiny.png", 20, 20)
    words = ["dataset", "prepare", str(source), str(tmp_path / "dst"), "--size", "128", "--dry-run"]
    assert run(words) == 3, "one image is refused"
    shown = capsys.readouterr().out.splitlines()
    assert shown[0].split() == ["image", "before", "after", "cut", "away"]
    # 200 becomes 128, so 300 becomes 192, a multiple of 64
    assert shown[1].split() == ["10_hat/0.png", "300x200", "192x128", "0%"]
    assert any("3 images become 3 files" in line for line in shown)
    assert any(line.startswith("refused: ") and "tiny.png" in line for line in shown)
    assert run([*words, "--json"]) == 3
    told = document(capsys)
    assert [row["image"] for row in told["plan"]] == [f"10_hat/{number}.png" for number in range(3)]
    assert told["plan"][0]["files"] == [
        {"name": "10_hat/0.png", "width": 192, "height": 128, "scale": 0.64, "padded": 0.0, "flipped": False}
    ]
    assert told["refused"][0]["code"] == "image.small"
    assert not (tmp_path / "dst").exists()


def test_images_and_captions_are_made_and_the_second_time_is_nothing_to_do(
    tmp_path: Path, source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["dataset", "prepare", str(source), str(tmp_path / "dst"), "--size", "128", "--format", "webp"]
    assert run(words) == 0
    told = capsys.readouterr().out
    assert "3 of 3 images are ready" in told
    assert sorted(path.name for path in (tmp_path / "dst" / "10_hat").iterdir()) == [
        "0.txt", "0.webp", "1.txt", "1.webp", "2.txt", "2.webp",
    ]  # fmt: skip
    assert run([*words, "--json"]) == 0
    again = document(capsys)
    assert (again["complete"], again["done"], again["made_now"]) == (True, 3, 0)
    assert Path(again["report"]).is_file()
    assert json.loads(Path(again["report"]).read_text())["complete"] is True


def test_the_options_reach_the_images(tmp_path: Path, source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["dataset", "prepare", str(source), str(tmp_path / "dst"), "--family", "sd15", "--shape", "square"]
    words += [
        "--small",
        "enlarge",
        "--fit",
        "pad",
        "--pad",
        "#102030",
        "--format",
        "jpeg",
        "--quality",
        "80",
        "--flips",
    ]
    words += ["--folders", "repeats", "--repeats", "4", "--label", "girl", "--name", "{number:03}", "--flips"]
    words.append("--json")
    assert run(words) == 0
    made = tmp_path / "dst" / "4_girl"
    assert sorted(path.name for path in made.glob("*.jpg")) == [
        "001.jpg", "001_flip.jpg", "002.jpg", "002_flip.jpg", "003.jpg", "003_flip.jpg",
    ]  # fmt: skip
    with Image.open(made / "001.jpg") as picture:
        assert picture.size == (512, 512)
        assert picture.getpixel((256, 3)) == pytest.approx((16, 32, 48), abs=4)
    told = document(capsys)
    assert told["images"] == 3


def test_buckets_are_those_that_the_trainer_makes(
    tmp_path: Path, source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    an_image(source / "wide.png", 900, 400, 9)
    words = ["dataset", "prepare", str(source), str(tmp_path / "dst"), "--size", "192", "--fit", "bucket", "--json"]
    assert run(words) == 0
    capsys.readouterr()
    words = [
        "dataset",
        "buckets",
        str(tmp_path / "dst"),
        "--resolution",
        "192",
        "--min",
        "96",
        "--max",
        "384",
        "--json",
    ]
    assert run(words) == 0
    told = document(capsys)
    assert told["buckets"]
    assert all(row["mean_cut"] == 0 and row["enlarged"] == 0 for row in told["buckets"])


@pytest.mark.parametrize(
    ("words", "place"),
    [
        (["--size", "3"], "--size"),
        (["--size", "512", "--family", "sdxl"], "--family"),
        (["--min", "2000"], "--min"),
        (["--background", "mauve"], "--background"),
        (["--remove-background", "/nowhere/x.onnx"], "/nowhere/x.onnx"),
        (["--masks", "/nowhere"], "/nowhere"),
        (["--name", "{x}"], "--name"),
        (["--split", "1"], "--split"),
    ],
)
def test_wrong_options_are_named(
    tmp_path: Path, source: Path, capsys: pytest.CaptureFixture[str], words: list[str], place: str
) -> None:
    assert run(["dataset", "prepare", str(source), str(tmp_path / "dst"), *words]) == 2
    assert place in capsys.readouterr().err
    assert not (tmp_path / "dst").exists()


def test_the_source_is_never_the_destination(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["dataset", "prepare", str(source), str(source)]) == 2
    assert "lie in each other" in capsys.readouterr().err


def test_a_destination_with_other_files_is_refused_before_anything_is_planned(
    tmp_path: Path, source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").touch()
    assert run(["dataset", "prepare", str(source), str(tmp_path / "full")]) == 2
    out, err = capsys.readouterr()
    assert not out and "it has mine.txt" in err and "reading" not in err


def test_a_folder_without_images_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    assert run(["dataset", "prepare", str(tmp_path / "empty"), str(tmp_path / "dst")]) == 2
    assert "no image to prepare" in capsys.readouterr().err


def test_an_image_that_fails_makes_the_command_fail_and_the_others_are_made(
    tmp_path: Path, source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = source / "10_hat" / "1.png"
    data = path.read_bytes()
    path.write_bytes(data[:150] + bytes(80) + data[230:])
    assert run(["dataset", "prepare", str(source), str(tmp_path / "dst"), "--size", "128"]) == 1
    told = capsys.readouterr().out
    assert "2 of 3 images are ready" in told
    assert "failed: " in told
    assert "1.png" in told


def test_ctrl_c_stops_and_the_same_command_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    an_image(tmp_path / "one" / "0.png", 512, 512)
    data = (tmp_path / "one" / "0.png").read_bytes()
    (tmp_path / "src").mkdir()
    for number in range(50):
        (tmp_path / "src" / f"{number}.png").write_bytes(data)
    words = ["dataset", "prepare", str(tmp_path / "src"), str(tmp_path / "dst"), "--size", "448"]
    command = [sys.executable, "-m", "lora_tui", *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until(lambda: len(list((tmp_path / "dst").glob("*.png"))) > 3, seconds=60)
    process.send_signal(signal.SIGINT)
    told, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "The same command goes on where it was." in told
    assert 3 < len(list((tmp_path / "dst").glob("*.png"))) < 50
    assert run([*words, "--json"]) == 0
    assert run(["dataset", "prepare", str(tmp_path / "one"), str(tmp_path / "other"), "--size", "448"]) == 0
    made = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (tmp_path / "dst").glob("*.png")}
    assert len(made) == 50
    assert set(made.values()) == {hashlib.sha256((tmp_path / "other" / "0.png").read_bytes()).hexdigest()}


def test_a_name_with_escape_codes_is_shown_and_not_obeyed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    an_image(tmp_path / "src" / "a\x1b[31m.png")
    assert run(["dataset", "prepare", str(tmp_path / "src"), str(tmp_path / "dst"), "--size", "128"]) == 0
    assert "\x1b" not in capsys.readouterr().out
