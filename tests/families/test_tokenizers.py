"""Tokenizers without words, or with words that their text encoder does not know."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from lora_tui.errors import UserError
from lora_tui.families import tokenizers, told
from lora_tui.families.tokenizers import check_tokenizer

WORDS = {"a": 0, "b</w>": 1, "ab</w>": 2}


def written(folder: Path, **files: str) -> Path:
    """A whole tokenizer of CLIP's kind in which some files are others."""
    folder.mkdir(exist_ok=True)
    whole = {"vocab.json": json.dumps(WORDS), "merges.txt": "#version: 0.2\na b</w>\n", "tokenizer_config.json": "{}"}
    for name, text in {**whole, **{name.replace("__", "."): text for name, text in files.items()}}.items():
        (folder / name).write_text(text, "utf-8", newline="")
    return folder


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"vocab__json": "{}"}, "vocab.json holds no words"),
        ({"vocab__json": "["}, "vocab.json holds no words"),
        ({"vocab__json": '{"a": "0"}'}, "vocab.json holds no words"),
        ({"vocab__json": '{"a": -1}'}, "vocab.json holds no words"),
        ({"merges__txt": ""}, "merges.txt does not say"),
        ({"merges__txt": "#version: 0.2\n"}, "merges.txt does not say"),
        ({"tokenizer_config__json": "["}, "tokenizer_config.json is no readable"),
        ({"tokenizer__json": "{}"}, "tokenizer.json holds no words"),
        ({"tokenizer__json": '{"model": {"vocab": []}}'}, "tokenizer.json holds no words"),
        ({"vocab__json": '{"a": 3}'}, "vocab.json gives a word the number 3, the text encoder knows 3"),
        ({"tokenizer__json": '{"model": {"vocab": [["a", -1], ["b", -2], ["c", -2], ["d", -3]]}}'}, "the number 3"),
        ({"tokenizer__json": '{"model": {"vocab": {"a": 0}}, "added_tokens": [{"id": 9}]}'}, "the number 9"),
    ],
)
def test_what_cannot_serve_is_told_with_its_file(tmp_path: Path, files: dict[str, str], told: str) -> None:
    check_tokenizer(written(tmp_path / "words"), 3)
    with pytest.raises(UserError) as caught:
        check_tokenizer(written(tmp_path / "words", **files), 3)
    assert told in caught.value.message and caught.value.code == "model.tokenizer" and caught.value.remedy


def test_no_file_at_all_is_told_and_one_of_another_kind_is_left_to_its_library(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"vocab\.json is missing"):
        check_tokenizer(tmp_path, 3)
    (tmp_path / "spiece.model").write_bytes(b"pieces")
    check_tokenizer(tmp_path, 3)


def test_words_are_read_once_however_many_processes_ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = written(tmp_path / "words", tokenizer_config__json='{"read": "once"}')
    with monkeypatch.context() as first:
        read: list[str] = []
        first.setattr(tokenizers, "read_object", lambda path: read.append(path.name) or told.read_object(path))
        for _process in range(3):
            tokenizers._known.cache_clear()
            check_tokenizer(folder, 3)
    assert sorted(read) == ["tokenizer_config.json", "vocab.json"]
    tokenizers._known.cache_clear()
    with pytest.raises(UserError, match="the number 2, the text encoder knows 2"):
        check_tokenizer(folder, 2)
    with pytest.raises(UserError, match=r"vocab\.json holds no words"):
        check_tokenizer(written(folder, vocab__json="{}"), 3)


def test_what_is_no_file_of_words_is_never_waited_for(tmp_path: Path) -> None:
    folder = written(tmp_path / "words")
    (folder / "merges.txt").unlink()
    os.mkfifo(folder / "merges.txt")
    with pytest.raises(UserError, match=r"merges\.txt does not say"):
        check_tokenizer(folder, 3)
