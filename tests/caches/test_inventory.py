"""What is kept on disk to be used again, and letting go of some of it."""

import json
import os
import time
from pathlib import Path

import pytest

from lora_tui.caches.inventory import KINDS, compiled_folders, inventory, prune
from lora_tui.caches.store import ContentStore
from lora_tui.cli.main import run as command

BY_NAME = {kind.name: kind for kind in KINDS}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LORA_TUI_HOME", str(tmp_path))
    folder = tmp_path / "cache"
    for number in range(4):
        path = ContentStore(folder, "latents").put(f"{number:032x}", b"x" * 1000)
        old = time.time() - (3 - number) * 86400 * 20
        os.utime(path, (old, old))
    (folder / "answers-1.sqlite").write_bytes(b"x" * 500)
    (folder / "unheard-of").mkdir()
    (folder / "unheard-of" / "x").write_bytes(b"x" * 7)
    return folder


def test_every_kind_is_told_with_its_size_and_last_use(root: Path) -> None:
    found = {one.kind.name: one for one in inventory()}
    assert {name: (one.files, one.size) for name, one in found.items()} == {
        "latents": (4, 4000),
        "scores": (1, 500),
        "other": (1, 7),
    }
    assert abs((found["latents"].used or 0) - time.time()) < 60
    assert inventory(root / "none") == []


def test_old_ones_go_first_and_only_what_is_asked_for(root: Path) -> None:
    (told,) = prune([BY_NAME["latents"]], cap=2000)
    assert (told.files, told.size) == (2, 2000) and inventory()[0].files == 4, "a dry run changes nothing"
    (told,) = prune([BY_NAME["latents"]], unused_seconds=30 * 86400, dry=False)
    assert (told.files, told.size, told.busy) == (2, 2000, False)
    (told,) = prune([BY_NAME["scores"]], dry=False)
    assert told.size == 500 and not (root / "answers-1.sqlite").exists()
    assert {one.kind.name: one.files for one in inventory()} == {"latents": 2, "other": 1}


def test_what_is_in_use_is_left_alone(root: Path) -> None:
    with ContentStore(root, "latents").in_use():
        (told,) = prune([BY_NAME["latents"]], dry=False)
    assert told.busy and told.size == 0 and inventory()[0].files == 4


def test_the_commands(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(["cache", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["bytes"] == 4507
    assert command(["cache", "prune", "latents", "--cap", "1kb"]) == 0
    assert "--yes" in capsys.readouterr().out
    assert command(["cache", "prune", "latents", "--cap", "1kb", "--yes", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["bytes"] == 3000
    assert command(["cache", "list"]) == 0
    assert "encoded images" in capsys.readouterr().out
    for wrong in (["latent"], ["--cap", "much"], ["--unused", "never"]):
        assert command(["cache", "prune", *wrong]) == 2


def test_folders_of_programs_go_as_a_whole_by_their_last_use_and_never_from_under_somebody(root: Path) -> None:
    store = compiled_folders()
    for number, name in enumerate(("first", "second", "third")):
        with store.in_use(name) as folder:
            (folder / "aa").mkdir()
            for file in ("x", "aa/y"):
                (folder / file).write_bytes(b"x" * 500)
        os.utime(folder / ".lock", (1000 + number, 1000 + number))
    (root / "compiled" / ".gone-0").mkdir()
    compiled = BY_NAME["compiled"]
    [told] = [one for one in inventory() if one.kind is compiled]
    assert (told.files, told.size, told.used) == (6, 3000, 1002)
    with store.in_use("first"):  # read again, so it is the newest, too
        assert [(one.files, one.size) for one in prune([compiled], cap=2500)] == [(2, 1000)]
        assert [one.size for one in prune([compiled], cap=2500, dry=False)] == [1000]
        assert {path.name for path in store.folder.iterdir()} == {"first", "third"}
        os.utime(store.folder / "first" / ".lock", (1, 1))
        assert [(one.size, one.busy) for one in prune([compiled], cap=1000, dry=False)] == [(1000, False)]
        assert [(one.size, one.busy) for one in prune([compiled], dry=False)] == [(0, True)]
        assert {path.name for path in store.folder.iterdir()} == {"first"}
    assert [one.size for one in prune([compiled], unused_seconds=60, dry=False)] == [0], "it was in use until just now"
    assert [one.size for one in prune([compiled], dry=False)] == [1000]
