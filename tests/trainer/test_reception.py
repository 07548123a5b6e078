"""Processes of a launcher come to the first one, are handed what to train, and are missed when they are gone."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import torch.distributed as dist
from support import until

from lora_tui.errors import UserError
from lora_tui.jobs.launcher import Launched
from lora_tui.trainer import reception
from lora_tui.trainer.reception import Reception, come

FIRST, SECOND = Launched(0, 2, 0, 2, "127.0.0.1"), Launched(1, 2, 1, 2, "127.0.0.1")


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> dist.Store:
    """In the place of a launcher's."""
    store = dist.HashStore()
    monkeypatch.setattr(reception, "_store", lambda _place, _patience: store)
    return store


@pytest.fixture
def door(store: dist.Store) -> Iterator[Reception]:
    door = Reception(FIRST)
    yield door
    door.close()


def test_one_that_comes_is_handed_what_it_needs_and_heard(door: Reception) -> None:
    link = come(SECOND)
    guest = door.guest(1)
    assert guest is not None
    guest.hand_over(b"all of it")
    assert link.recv(100) == b"all of it"
    link.sendall(b'{"code": "gpu.memory"}')
    link.close()
    assert json.loads(guest.last_word()) == {"code": "gpu.memory"}


def test_one_that_is_let_go_sees_the_end_of_its_line(door: Reception) -> None:
    link = come(SECOND)
    guest = door.guest(1)
    assert guest is not None
    door.close()
    assert link.recv(100) == b""


def test_nobody_comes_in_without_the_token_nor_twice(door: Reception, store: dist.Store) -> None:
    host, port, token = json.loads(store.get("lora-tui/first"))
    assert host == "127.0.0.1"
    for said in (["other", 1], [token, 0], [token, 2], [token, "x"], {}, "x" * 600):
        assert _answer(host, port, said) == b""
    link = come(SECOND)
    assert door.guest(1)
    assert _answer(host, port, [token, 1]) == b""
    link.close()


def test_who_waits_for_one_that_never_comes_is_told_at_the_end(store: dist.Store) -> None:
    door = Reception(FIRST)
    found: list[Any] = []
    waiting = threading.Thread(target=lambda: found.append(door.guest(1)))
    waiting.start()
    door.close()
    until(lambda: found == [None], 10)
    with pytest.raises(UserError) as caught:
        come(SECOND)
    assert caught.value.code == "launcher.unreachable"


def _answer(host: str, port: int, said: Any) -> bytes:
    """What the door answers to an introduction: its end."""
    with socket.create_connection((host, port), timeout=20) as link:
        try:
            link.sendall(json.dumps(said).encode() + b"\n")
            return link.recv(10)
        except ConnectionError:
            return b""
