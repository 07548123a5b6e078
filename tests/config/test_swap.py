"""Another folder in a file's datasets: one line changes, everything else stays, and it can be taken back."""

from __future__ import annotations

from pathlib import Path

import pytest

from lora_tui.config.load import load_config
from lora_tui.config.swap import swap_folder
from lora_tui.errors import UserError
from lora_tui.project import Project

CONFIG = """# my own words
schema_version = 1

[[datasets]]
repeats = 3  # three times
path = '../pictures'   # the first

[[ datasets ]]
path = "../other [1]"

[network]
rank = 8  # path = "../pictures"
"""


ODD = 'datasets = [{"path" = "images"}]\n'


def never() -> None:
    raise AssertionError("the whole file is not written")


def test_one_line_of_a_configuration_changes_and_comes_back(tmp_path: Path) -> None:
    file = tmp_path / "configs" / "a.toml"
    file.parent.mkdir()
    file.write_text(CONFIG)
    done = swap_folder(file, tmp_path / "pictures", tmp_path / 'pictures-512 "x"', never)
    lines = file.read_text().splitlines()
    assert [line for line in CONFIG.splitlines() if line not in lines] == ["path = '../pictures'   # the first"]
    assert lines[5] == r'path = "../pictures-512 \"x\""   # the first'
    config = load_config(file)
    assert [Path(entry.path).name for entry in config.datasets] == ['pictures-512 "x"', "other [1]"]
    assert config.datasets[0].repeats == 3
    done.take_back()
    assert file.read_text() == CONFIG


def test_the_projects_own_file_names_the_new_folder(tmp_path: Path) -> None:
    for name in ("images", "images-512"):
        (tmp_path / name).mkdir()
    project = Project.create(tmp_path, trigger="hatgirl", datasets=[tmp_path / "images"])
    project.file.write_text("# mine\n" + project.file.read_text())
    swap_folder(project.file, tmp_path / "images", tmp_path / "images-512", never)
    assert project.file.read_text().startswith("# mine\n")
    assert [entry.path for entry in Project.load(tmp_path).datasets] == [tmp_path / "images-512"]


def test_a_file_in_another_style_is_written_as_a_whole(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text(ODD)
    done = swap_folder(file, tmp_path / "images", tmp_path / "new", lambda: file.write_text("whole"))
    assert file.read_text() == "whole"
    done.take_back()
    assert file.read_text() == ODD


def test_a_file_that_somebody_changed_since_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text('[[datasets]]\npath = "images"\n')
    done = swap_folder(file, tmp_path / "images", tmp_path / "new", never)
    file.write_text(file.read_text() + "# later\n")
    with pytest.raises(UserError, match="changed since"):
        done.take_back()
    assert file.read_text().endswith("# later\n")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError) as raised:
        swap_folder(tmp_path / "none.toml", tmp_path, tmp_path, never)
    assert raised.value.place == str(tmp_path / "none.toml")
