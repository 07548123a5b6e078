"""Paths as people write them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_tui.errors import UserError
from lora_tui.places import absolute, exists, expand, flaw, is_file, is_folder

IMPOSSIBLE = {"a\0b": "NUL", "~\0": "NUL", "x" * 256: "255 bytes", "帽" * 86: "255 bytes", "x/" * 2100: "4095 bytes"}


@pytest.mark.parametrize("text", IMPOSSIBLE)
def test_a_path_that_nothing_can_have_says_why(text):
    assert IMPOSSIBLE[text] in flaw(text)
    assert not exists(expand(text)) and not is_file(expand(text)) and not is_folder(expand(text))
    with pytest.raises(UserError, match=IMPOSSIBLE[text]) as caught:
        absolute(text, "model.base")
    assert caught.value.place == "model.base"


def test_a_user_that_is_not_there_is_told(monkeypatch, tmp_path):
    assert expand("~no such user/x") == Path("~no such user/x")
    with pytest.raises(UserError, match="There is no user no such user on this machine"):
        absolute("~no such user/x")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert absolute("~/x") == expand("~/x") == tmp_path / "x"


@given(st.text(max_size=300))
def test_asking_about_any_text_never_fails(text):
    path = expand(text)
    there = exists(path)
    assert there == (is_file(path) or is_folder(path)) or there
    assert not (flaw(text) and there)


def test_files_and_folders_are_told_apart_and_links_followed(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("file")
    os.mkfifo(tmp_path / "pipe")
    assert is_file(tmp_path / "link") and is_folder(tmp_path) and not is_file(tmp_path)
    assert exists(tmp_path / "pipe") and not is_file(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    assert not exists(tmp_path / "loop")
