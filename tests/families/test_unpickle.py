"""Making a ``.safetensors`` file of a pickled one, without running what is in it."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from lora_tui.errors import UserError
from lora_tui.families.source import resolve
from lora_tui.families.unpickle import unpickle


class Program:
    """Runs a command when it is unpickled by a reader that trusts it."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str]]:
        import os

        return os.system, (f"touch {self.mark}",)


def test_the_command_that_the_error_names_makes_the_file(tmp_path: Path) -> None:
    old = tmp_path / "old model.ckpt"
    shared = torch.arange(6.0).reshape(2, 3)
    torch.save({"state_dict": {"a": shared, "b": shared, "c": shared.T}, "epoch": 3}, old)
    with pytest.raises(UserError) as caught:
        resolve(str(old), parts=())
    assert "can run code" in caught.value.message and "model.allow_pickle = true" in caught.value.remedy
    command = re.search(r"running nothing: (.+\.safetensors')", caught.value.remedy)
    assert command
    done = subprocess.run(shlex.split(command[1]), capture_output=True, text=True, check=True)
    assert "3 tensors written" in done.stdout
    made = load_file(tmp_path / "old model.safetensors")
    assert sorted(made) == ["a", "b", "c"] and torch.equal(made["c"], shared.T)
    again = subprocess.run(shlex.split(command[1]), capture_output=True, text=True, check=False)
    assert again.returncode == 2 and "there already" in again.stderr


def test_a_program_in_a_pickle_is_refused_and_not_run(tmp_path: Path) -> None:
    torch.save({"state_dict": {"a": torch.ones(2), "b": Program(tmp_path / "ran")}}, tmp_path / "evil.ckpt")
    with pytest.raises(UserError, match="was not read"):
        unpickle(tmp_path / "evil.ckpt", tmp_path / "new.safetensors")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["evil.ckpt"]


@pytest.mark.parametrize("new", ["old.ckpt", "new.ckpt", "there.safetensors"])
def test_nothing_is_written_over_and_the_name_must_say_what_it_is(tmp_path: Path, new: str) -> None:
    torch.save({"a": torch.ones(2)}, tmp_path / "old.ckpt")
    (tmp_path / "there.safetensors").touch()
    with pytest.raises(UserError, match="safetensors"):
        unpickle(tmp_path / "old.ckpt", tmp_path / new)


def test_a_pickle_without_tensors_says_so(tmp_path: Path) -> None:
    torch.save({"state_dict": {}, "epoch": 3}, tmp_path / "old.ckpt")
    with pytest.raises(UserError, match="no tensors"):
        unpickle(tmp_path / "old.ckpt", tmp_path / "new.safetensors")
