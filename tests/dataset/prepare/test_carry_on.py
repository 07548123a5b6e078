"""A preparation that was cut off, or done before, is gone on with: to the same bytes, and nothing twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from lora_tui.dataset.prepare.carry import Progress, carry_out
from lora_tui.dataset.prepare.options import Options
from lora_tui.dataset.prepare.plan import make_plan
from lora_tui.errors import UserError

from .conftest import hashes, prepare, report, rows

MakeImage = Callable[..., Path]
Draw = Callable[..., Image.Image]


def test_stopped_anywhere_and_gone_on_with_gives_the_same_bytes(tmp_path: Path, mixed: Path) -> None:
    options = Options(size=128, flips=True, at="subject", background="random")
    plan = make_plan(mixed, options)
    whole = carry_out(plan, tmp_path / "whole", workers=1)
    assert whole.complete
    seen: list[Progress] = []
    while True:
        start = len(seen)
        outcome = carry_out(
            plan,
            tmp_path / "parts",
            workers=1,
            on_progress=seen.append,
            should_stop=lambda at=start: len(seen) > at + 2,
        )
        assert outcome.progress.total == len(plan.items)
        if outcome.complete:
            break
        assert report(tmp_path / "parts")["complete"] is False
        assert {row["status"] for row in report(tmp_path / "parts")["images"]} <= {"done", "waiting"}
    assert sum(progress.fresh == 0 for progress in seen) > 2, "it took several runs"
    assert hashes(tmp_path / "parts") == hashes(tmp_path / "whole")
    assert report(tmp_path / "parts")["images"] == report(tmp_path / "whole")["images"]


def test_killed_anywhere_and_gone_on_with_gives_the_same_bytes(tmp_path: Path, make_image: MakeImage) -> None:
    for number in range(18):
        make_image(f"src/{number}.png", 260, 200, seed=number, caption=str(number))
    whole = tmp_path / "whole"
    prepare(tmp_path / "src", whole, size=192)
    program = (
        "import os, signal, sys\nfrom pathlib import Path\n"
        "from lora_tui.dataset.prepare.carry import carry_out\n"
        "from lora_tui.dataset.prepare.options import Options\n"
        "from lora_tui.dataset.prepare.plan import make_plan\n"
        "def tell(now):\n"
        "    if now.fresh >= 4: os.kill(os.getpid(), signal.SIGKILL)\n"
        "carry_out(make_plan(Path(sys.argv[1]), Options(size=192)), Path(sys.argv[2]), on_progress=tell)\n"
    )
    parts, turns = tmp_path / "parts", 0
    while True:
        command = [sys.executable, "-c", program, str(tmp_path / "src"), str(parts)]
        status = subprocess.run(command, check=False, timeout=120).returncode
        if status == 0:
            break
        assert status == -signal.SIGKILL
        turns += 1
    assert turns >= 3
    assert hashes(parts) == hashes(whole), "nothing is missing, torn or left over"
    prepare(tmp_path / "src", parts, size=192)
    assert report(parts)["images"] == report(whole)["images"]


def test_what_is_done_is_not_done_again_unless_its_original_changed(tmp_path: Path, make_image: MakeImage) -> None:
    first, second = (make_image(f"src/{name}.png", 128, 128, seed=1, caption="x") for name in "ab")
    destination = tmp_path / "dst"
    prepare(tmp_path / "src", destination, size=128)
    times = {path.name: path.stat().st_mtime_ns for path in destination.glob("*")}
    assert prepare(tmp_path / "src", destination, size=128).progress.fresh == 0
    make_image("src/c.png", 128, 128, seed=3)
    make_image("src/b.png", 128, 128, seed=9)
    first.with_suffix(".txt").write_text("other words")
    outcome = prepare(tmp_path / "src", destination, size=128)
    assert outcome.progress.fresh == 3
    assert (destination / "b.png").read_bytes() != (destination / "a.png").read_bytes()
    assert (destination / "a.txt").read_text() == "other words"
    assert (destination / "b.png").stat().st_mtime_ns != times["b.png"]
    assert second.exists()


def test_what_somebody_changed_since_is_left_alone(tmp_path: Path, make_image: MakeImage) -> None:
    make_image("src/a.png", 128, 128, caption="x")
    destination = tmp_path / "dst"
    prepare(tmp_path / "src", destination, size=128)
    (destination / "a.txt").write_text("cleaned by hand")
    for turn in (1, 2):
        make_image("src/a.png", 128, 128, seed=turn)
        outcome = prepare(tmp_path / "src", destination, size=128)
        assert outcome.kept == ("a.txt",)
        assert (destination / "a.txt").read_text() == "cleaned by hand"
        assert rows(destination)["a.png"]["copies"] == [{"name": "a.txt", "kept": True}]


def test_a_disk_that_is_full_in_the_middle_can_be_gone_on_from(
    tmp_path: Path, make_image: MakeImage, draw: Draw
) -> None:
    """Files may grow no further than some bytes, as on a disk that is full: small images fit, one does not."""
    for number in range(4):
        make_image(f"src/{number}.png", 128, 128, seed=number)
    noise = Image.frombytes("RGB", (256, 256), os.urandom(256 * 256 * 3))
    noise.save(tmp_path / "src" / "5.png")
    program = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, {resource_infinity()}))\n"
        "from lora_tui.cli.main import run; sys.exit(run(sys.argv[1:]))"
    )
    arguments = ["dataset", "prepare", str(tmp_path / "src"), str(tmp_path / "dst"), "--size", "128", "--split", "1.5"]
    arguments += ["--shape", "square", "--small", "keep", "--size", "256", "--workers", "1", "--json"]
    limited = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False, timeout=120
    )
    assert limited.returncode == 2, limited.stderr
    error = json.loads(limited.stdout)["error"]
    assert (error["code"], bool(error["remedy"])) == ("prepare.disk", True)
    assert str(tmp_path / "dst") in error["place"]
    assert set(hashes(tmp_path / "dst")) <= {f"{number}.png" for number in range(4)}
    from lora_tui.cli.main import run

    assert run([*arguments]) == 0
    assert set(hashes(tmp_path / "dst")) == {f"{number}.png" for number in (0, 1, 2, 3, 5)}


def resource_infinity() -> int:
    import resource

    return resource.RLIM_INFINITY


def test_a_torn_last_line_of_the_work_file_is_no_trouble(tmp_path: Path, make_image: MakeImage) -> None:
    for number in range(3):
        make_image(f"src/{number}.png", 128, 128, seed=number)
    prepare(tmp_path / "src", tmp_path / "dst", size=128)
    before = hashes(tmp_path / "dst")
    path = tmp_path / "dst" / ".lora-tui" / "prepare" / "work.jsonl"
    path.write_bytes(path.read_bytes()[:-20])
    outcome = prepare(tmp_path / "src", tmp_path / "dst", size=128)
    assert (outcome.failed, outcome.progress.fresh) == ((), 1)
    assert hashes(tmp_path / "dst") == before
    path.write_text('{"head": 3}\n')
    with pytest.raises(UserError) as raised:
        prepare(tmp_path / "src", tmp_path / "dst", size=128)
    assert raised.value.code == "prepare.damaged"


def test_a_work_file_that_nobody_of_us_wrote_is_refused(tmp_path: Path, make_image: MakeImage) -> None:
    make_image("src/a.png", 128, 128)
    prepare(tmp_path / "src", tmp_path / "dst", size=128)
    path = tmp_path / "dst/.lora-tui/prepare/work.jsonl"
    head, record = path.read_text().splitlines()
    bad = [record.replace('"source"', '"other"'), "[" * 300_000]
    bad += [record.replace('"name": "a.png"', f'"name": "{name}"') for name in ("a\\u0000", "../a", "/a", "\\ud800")]
    for line in bad:
        path.write_text(f"{head}\n{line}\n")
        with pytest.raises(UserError) as raised:
            prepare(tmp_path / "src", tmp_path / "dst", size=128)
        assert raised.value.code == "prepare.damaged"
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(UserError):
        prepare(tmp_path / "src", tmp_path / "dst", size=128)


def test_an_empty_file_that_a_power_cut_left_is_made_again(tmp_path: Path, make_image: MakeImage) -> None:
    make_image("src/a.png", 128, 128)
    prepare(tmp_path / "src", tmp_path / "dst", size=128)
    before = hashes(tmp_path / "dst")
    (tmp_path / "dst" / "a.png").write_bytes(b"")
    prepare(tmp_path / "src", tmp_path / "dst", size=128)
    assert hashes(tmp_path / "dst") == before


def test_temporary_files_of_killed_processes_are_removed(tmp_path: Path, make_image: MakeImage) -> None:
    make_image("src/sub/a.png", 128, 128)
    prepare(tmp_path / "src", tmp_path / "dst", size=128)
    left = tmp_path / "dst" / "sub" / ".a.png.prepare.abcd1234.lora-tui.tmp"
    editing = left.with_name(".a.txt.abcd1234.lora-tui.tmp")  # which the tag editor writes just now
    for path in (left, editing):
        path.write_bytes(b"half")
    prepare(tmp_path / "src", tmp_path / "dst", size=128)
    assert not left.exists()
    assert editing.exists()
