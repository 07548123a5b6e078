"""Writing files: what may be replaced, and what is left as it is."""

from __future__ import annotations

import os
import resource
import signal
import socket
import stat
from pathlib import Path

import pytest
import torch

from lora_tui.cli.main import WRONG, run
from lora_tui.config.load import save_config
from lora_tui.config.schema import Config
from lora_tui.errors import UserError
from lora_tui.files import open_file, write_atomic
from lora_tui.weights.ordered import save_file_ordered


def make(kind: str, path: Path) -> None:
    """Something that is no regular file at ``path``."""
    if kind == "a folder":
        path.mkdir()
    elif kind == "a named pipe":
        os.mkfifo(path)
    elif kind == "a link that leads to itself":
        path.symlink_to(path)
    else:
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(os.path.relpath(path))  # their names are short
        listening.close()


@pytest.mark.parametrize("linked", [False, True])
@pytest.mark.parametrize("kind", ["a folder", "a named pipe", "a socket", "a link that leads to itself"])
def test_what_is_no_file_is_never_replaced(tmp_path, kind, linked):
    path = tmp_path / "there"
    make(kind, path)
    before = path.lstat()
    if linked:
        (tmp_path / "link").symlink_to(path)
        path = tmp_path / "link"
    with pytest.raises(UserError, match=f"It is {kind}, not a file") as caught:
        write_atomic(path, b"new")
    assert (caught.value.place, caught.value.code) == (str(path), "file.not_regular")
    assert (tmp_path / "there").lstat() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == (["link", "there"] if linked else ["there"])


def test_the_target_of_a_link_is_replaced_and_the_link_stays(tmp_path):
    (tmp_path / "target").write_bytes(b"old")
    (tmp_path / "target").chmod(0o640)
    (tmp_path / "link").symlink_to("target")
    (tmp_path / "link of a link").symlink_to("link")
    write_atomic(tmp_path / "link of a link", b"new")
    assert (tmp_path / "target").read_bytes() == b"new"
    assert stat.S_IMODE((tmp_path / "target").stat().st_mode) == 0o640
    assert (tmp_path / "link").is_symlink() and (tmp_path / "link of a link").is_symlink()


def test_a_disk_that_takes_no_more_is_told_with_the_file(tmp_path):
    def by_parts(path, data):
        save_file_ordered({"x": torch.frombuffer(bytearray(data), dtype=torch.uint8)}, path, {})

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for write in (write_atomic, by_parts):
        resource.setrlimit(resource.RLIMIT_FSIZE, (64, hard))
        try:
            with pytest.raises(OSError) as caught:
                write(tmp_path / "LoRA", bytes(100_000))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert str(caught.value).endswith(f": '{tmp_path / 'LoRA'}'")


def test_a_link_that_leads_nowhere_yet_gets_its_target(tmp_path):
    (tmp_path / "link").symlink_to("target")
    write_atomic(tmp_path / "link", b"new")
    assert (tmp_path / "target").read_bytes() == b"new" and (tmp_path / "link").is_symlink()


def test_a_configuration_does_not_replace_a_pipe_even_when_forced(tmp_path, capsys):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    for name in ("pipe", "link"):
        assert run(["config", "new", str(tmp_path / name), "--force"]) == WRONG
        assert capsys.readouterr().err == (
            f"lora-tui: {tmp_path / name}: It is a named pipe, not a file, and is left as it is. Name another place.\n"
        )
    assert stat.S_ISFIFO((tmp_path / "pipe").lstat().st_mode)


def test_those_who_go_on_without_a_file_go_on_without_this_one(tmp_path):
    """It is an ``OSError``, too."""
    with pytest.raises(OSError):
        write_atomic(tmp_path, b"")
    with pytest.raises(UserError, match="It is a folder"):
        save_config(Config(), tmp_path)


def test_an_interruption_while_a_file_is_opened_stays_one(tmp_path):
    """The signal comes at every moment of the opening; whoever looked for a missing file would swallow an OSError."""
    path = tmp_path / "file"
    path.write_bytes(b"content")

    def interrupt(_number, _frame):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    heard = 0
    try:
        for number in range(1500):
            try:
                signal.setitimer(signal.ITIMER_REAL, 1e-6 * (number % 60 + 1))
                for _ in range(50):
                    open_file(path).close()
                signal.setitimer(signal.ITIMER_REAL, 0)
            except KeyboardInterrupt:
                heard += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert heard > 1000
