"""Saved and pinned filters in the dataset's own folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from caption_lines import Lines

from lora_tui.captions.query.facts import Context
from lora_tui.captions.query.lexer import QueryError
from lora_tui.captions.query.saved import forget_filter, load_filters, save_filter
from lora_tui.errors import UserError


def test_filters_are_kept_with_the_dataset(tmp_path: Path) -> None:
    folder = tmp_path / ".lora-tui"
    assert load_filters(folder) == {}
    save_filter(folder, "hats", 'hat -"long hair"')
    save_filter(folder, "some", "hat", images=["1.png", "夏.png"])
    saved = load_filters(folder)
    assert list(saved) == ["hats", "some"]
    assert (saved["hats"].query, saved["hats"].pinned) == ('hat -"long hair"', False)
    assert (saved["some"].images, saved["some"].pinned) == (("1.png", "夏.png"), True)
    forget_filter(folder, "hats")
    assert list(load_filters(folder)) == ["some"]


def test_a_pinned_filter_stays_when_captions_change(tmp_path: Path) -> None:
    before, after = Lines(["hat", "hat", "x"]), Lines(["x", "hat", "hat"])
    save_filter(tmp_path, "now", "hat", images=[before.entries[number].name for number in before.find("hat")])
    save_filter(tmp_path, "live", "hat")
    context = Context(saved=load_filters(tmp_path))
    assert after.find("in:@now", context) == [0, 1]
    assert after.find("in:@live", context) == [1, 2]


def test_mistakes_are_said_and_change_nothing(tmp_path: Path) -> None:
    save_filter(tmp_path, "good", "a")
    with pytest.raises(QueryError):
        save_filter(tmp_path, "bad", "(a")
    with pytest.raises(UserError, match="no blanks"):
        save_filter(tmp_path, "two words", "a")
    with pytest.raises(UserError, match="no saved filter"):
        forget_filter(tmp_path, "unknown")
    assert list(load_filters(tmp_path)) == ["good"]
    for text in ("filter = 3", "[[filter]]\nname = 1\nquery = 'a'", "[[filter]]\nname = 'a'", "not toml ["):
        (tmp_path / "filters.toml").write_text(text)
        with pytest.raises(UserError) as caught:
            load_filters(tmp_path)
        assert caught.value.code == "filters.unreadable"


def test_a_pipe_in_place_of_the_filters_is_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "filters.toml")
    with pytest.raises(UserError, match="it is a named pipe, not a file") as caught:
        load_filters(tmp_path)
    assert caught.value.code == "filters.unreadable"
