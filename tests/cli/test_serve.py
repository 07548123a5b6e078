from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest

from lora_tui.cli.main import run


@pytest.fixture
def without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aiohttp", None)


@pytest.mark.usefixtures("without_the_extra")
def test_without_the_extra_it_says_what_to_install(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["serve", str(tmp_path), "--port", "0"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert 'pip install "lora-tui[serve]"' in line


def test_a_port_that_is_taken_and_a_folder_that_is_not_there_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        assert run(["serve", str(tmp_path), "--port", str(other.getsockname()[1])]) == 2
    assert "--port" in capsys.readouterr().err
    assert run(["serve", str(tmp_path), "--port", "99999"]) == 2
    assert run(["serve", str(tmp_path / "none")]) == 2
    told = capsys.readouterr().err
    assert len(told.splitlines()) == 2 and ".." not in told
