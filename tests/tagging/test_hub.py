"""Models by their names on the hub: fetched once from a server on loopback, then found without any."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hub_server import COMMIT, hub_of
from tagger_builders import make_images, make_wd14

from lora_tui.errors import UserError
from lora_tui.tagging.hub import cached, is_hub_name
from lora_tui.tagging.models import resolve
from lora_tui.tagging.request import ModelChoice, Request


def tag(data: Path, name: str, home: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    import os

    command = [
        sys.executable,
        "-m",
        "lora_tui",
        "tag",
        str(data),
        "--model",
        name,
        "--threads",
        "1",
        "--dry-run",
        "--json",
    ]
    env = {**os.environ, "HF_HOME": str(home), "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_TELEMETRY": "1", **environment}
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=env)


def test_a_model_is_fetched_once_and_found_again(tmp_path: Path) -> None:
    folder = make_wd14(tmp_path / "made")
    (folder / "other.bin").write_bytes(b"x" * 1000)
    data = make_images(tmp_path / "data", {"red": "red"})
    with hub_of({"owner/wd-tiny": folder}, silent=("owner/wd-silent",)) as hub:
        first = tag(data, "owner/wd-tiny", tmp_path / "hf", HF_ENDPOINT=hub.endpoint)
        assert first.returncode == 0, first.stderr
        assert json.loads(first.stdout)["models"][0]["name"] == "wd-tiny"
        assert not any("other.bin" in line for line in hub.asked)
        missing = tag(data, "owner/wd-none", tmp_path / "hf", HF_ENDPOINT=hub.endpoint)
        assert missing.returncode == 2
        assert json.loads(missing.stdout)["error"]["code"] == "tagger.download"
        silent = tag(data, "owner/wd-silent", tmp_path / "hf", HF_ENDPOINT=hub.endpoint, HF_HUB_ETAG_TIMEOUT="1")
        assert silent.returncode == 2
        assert json.loads(silent.stdout)["error"]["code"] == "tagger.download"
    again = tag(data, "owner/wd-tiny", tmp_path / "hf", HF_ENDPOINT=hub.endpoint)  # nobody is there now
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["models"][0]["kept"] == 1


def test_what_is_in_the_cache_is_found_as_it_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    assert cached("owner/model", ["model.onnx"]) is None
    place = tmp_path / "models--owner--model"
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text(COMMIT + "\n")
    snapshot = place / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (snapshot / "model.onnx").touch()
    assert cached("owner/model", ["model.onnx"]) == snapshot
    assert cached("owner/model", ["*.safetensors"]) is None


@pytest.mark.parametrize(
    ("name", "legal"),
    [("owner/model-v1.2_x", True), ("model", False), ("a/b/c", False), ("/b", False), ("a/", False), ("a/b c", False)],
)
def test_names_on_the_hub(name: str, legal: bool) -> None:
    assert is_hub_name(name) is legal


def test_the_hub_is_not_asked_where_that_is_forbidden(tmp_path: Path) -> None:
    """The tests' own environment forbids it."""
    from lora_tui.tagging.hub import fetched

    with pytest.raises(UserError) as caught:
        fetched("owner/never-there", ("*",), ("model.onnx",))
    assert caught.value.code == "tagger.download"
    assert "HF_HUB_OFFLINE" in caught.value.remedy


@pytest.mark.parametrize(
    ("files", "whole"),
    [
        (["config.json", "model.safetensors"], False),
        (["config.json", "preprocessor_config.json", "tokenizer.json", "model.safetensors"], True),
        (["config.json", "processor_config.json", "tokenizer.json", "model-00001-of-00002.safetensors"], False),
    ],
)
def test_a_model_of_which_the_fetching_was_broken_off_is_not_taken_for_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: list[str], whole: bool
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    place = tmp_path / "models--owner--florence-tiny"
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text(COMMIT)
    snapshot = place / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    for name in files:
        (snapshot / name).write_text('{"model_type": "florence2"}')
    choice = ModelChoice("florence2", "owner/florence-tiny")
    if whole:
        assert resolve(choice, Request((choice,)), here=True).settings["folder"] == str(snapshot)
        return
    with pytest.raises(UserError) as caught:
        resolve(choice, Request((choice,)), here=True)
    assert caught.value.code == "tagger.elsewhere"
