"""Servers that speak OpenAI's protocol: what they are asked, and every way in which they may fail."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from caption_folders import opened
from PIL import Image
from tagger_builders import make_images
from tagging_server import Server, picture_of, prompt_of, said, serving

from lora_tui.errors import UserError
from lora_tui.tagging.endpoint import address
from lora_tui.tagging.keys import goes_in_the_clear
from lora_tui.tagging.request import Endpoint, ModelChoice, Prose, Request
from lora_tui.tagging.run import Outcome, tag_dataset

COLOURS = {"a": "red", "b": "blue", "c": "lime"}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return make_images(tmp_path / "data", COLOURS)


def tagged(data: Path, server: Server | str, warnings: list[str] | None = None, **options: Any) -> Outcome:
    """The outcome of a tagging by a server, with the captions on disk."""
    fields = {name: options.pop(name) for name in list(options) if name in Endpoint.__dataclass_fields__}
    url = server if isinstance(server, str) else server.url
    endpoint = Endpoint(url=url, **{"wait": 0.01, **fields})
    request = Request((ModelChoice("endpoint", "vision"),), endpoint=endpoint, **options)
    session = opened(data)
    heard = (lambda error: warnings.append(error.message)) if warnings is not None else None
    outcome = tag_dataset(session, range(len(session.corpus.entries)), request, on_warning=heard)
    session.close()
    return outcome


def texts(data: Path) -> dict[str, str]:
    return {path.stem: path.read_text() for path in sorted(data.glob("*.txt"))}


def test_what_a_server_is_asked_and_what_becomes_of_its_answer(data: Path, tmp_path: Path) -> None:
    Image.new("RGBA", (300, 100), (255, 0, 0, 0)).save(data / "a.png")
    (data / "a.txt").write_text("hat, (smile:1.2)")
    with serving(lambda number, body: said(f"A picture.\n\x1b[31mNumber {number}.")) as server:
        outcome = tagged(
            data, server, existing="replace", trigger="hatgirl", side=64, parallel=1, tokens=77, temperature=0.5,
            prompt="Describe {name} with {tags} as {trigger} {{x}}",
        )  # fmt: skip
    assert texts(data) == {name: f"hatgirl, A picture. Number {n}." for n, name in enumerate("abc", 1)}
    first = server.seen[0]
    assert first["path"] == "/v1/chat/completions"
    assert (first["model"], first["max_tokens"], first["temperature"]) == ("vision", 77, 0.5)
    assert "Authorization" not in first["headers"]
    assert prompt_of(first) == "Describe a with hat, smile as hatgirl {x}"
    picture = picture_of(first)
    assert picture.size == (64, 21)
    assert picture.convert("RGB").getpixel((5, 5)) == (255, 255, 255)  # transparency on white
    assert outcome.transaction is not None
    assert outcome.transaction.head["author"] == "tagger:vision"


def test_answers_are_kept_by_image_and_question(data: Path) -> None:
    with serving(lambda number, body: said(f"Text {number}.")) as server:
        first = tagged(data, server, parallel=1, existing="replace")
        tagged(data, server, parallel=1, existing="replace")
        assert len(server.seen) == 3
        tagged(data, server, parallel=1, existing="replace", prompt="Another: {name}")
        assert len(server.seen) == 6
        tagged(data, server, parallel=1, existing="replace", prompt="Another: {name}", again=True)
        assert len(server.seen) == 9
    assert first.models[0].kept == 0
    assert texts(data)["a"] == "Text 7."


def test_failures_that_pass_are_tried_again(data: Path) -> None:
    def reply(number: int, body: dict[str, Any]) -> Any:
        if number == 1:
            return 500, b"<html>oops</html>", {}
        if number == 2:
            return 429, b'{"error": {"message": "slow down"}}', {"Retry-After": "0"}
        if number == 3:
            return 200, b"{not json", {}
        return said("A cat.")

    with serving(reply) as server:
        outcome = tagged(data, server, parallel=1)
    assert not outcome.failed
    assert len(server.seen) == 6
    assert texts(data) == dict.fromkeys("abc", "A cat.")


def test_what_does_not_pass_is_named_and_the_others_are_written(data: Path) -> None:
    replies: dict[tuple[int, ...], Any] = {
        (254, 0, 0): said("I'm sorry, but I can't describe people."),
        (0, 0, 254): (500, b'{"error": {"message": "\\u001b[31mno memory\\u0007"}}', {}),
    }

    def reply(number: int, body: dict[str, Any]) -> Any:
        return replies.get(picture_of(body).getpixel((5, 5)), said("Green."))  # type: ignore[arg-type]

    with serving(reply) as server:
        outcome = tagged(data, server, retries=1)
    assert texts(data) == {"c": "Green."}
    errors = outcome.failed
    assert errors[0].code == "tagger.refused"
    assert "I'm sorry" in errors[0].message
    assert errors[1].message == "The server answers 500: no memory."
    assert server.url in errors[1].place
    assert len(server.seen) == 4


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (said(""), "tagger.empty"),
        (said(None), "tagger.empty"),
        (said(None, refusal="no"), "tagger.refused"),
        (said([{"type": "text", "text": "..."}]), "tagger.empty"),
        ((200, b"[]", {}), "tagger.nonsense"),
        ((200, b'{"choices": []}', {}), "tagger.nonsense"),
        ((200, b'{"choices": [{"message": "x"}]}', {}), "tagger.nonsense"),
        ((200, b"\xff" * 100, {}), "tagger.nonsense"),
        ((200, b"[" * 200_000, {}), "tagger.nonsense"),
        ((400, b'{"error": "no pictures here"}', {}), "tagger.endpoint"),
        ((200, b"{", {"Content-Length": "9"}), "tagger.nonsense"),
    ],
)
def test_answers_that_are_none(data: Path, reply: Any, code: str) -> None:
    with serving(lambda number, body: (reply[0], reply[1], reply[2] | {"Connection": "close"})) as server:
        outcome = tagged(data, server, retries=0)
    assert {error.code for error in outcome.failed.values()} == {code}
    assert texts(data) == {}


def test_answers_in_parts_are_one_text(data: Path) -> None:
    with serving(lambda number, body: said([{"type": "text", "text": "A cat"}, {"text": "sits."}, 5])) as server:
        tagged(data, server)
    assert set(texts(data).values()) == {"A cat sits."}


@pytest.mark.parametrize(
    ("reply", "said_"),
    [
        ((401, b'{"error": {"message": "bad key"}}', {}), "bad key"),
        ((404, b'{"message": "no such model"}', {}), "/v1/models"),
        ((302, b"", {"Location": "http://127.0.0.1:1/elsewhere"}), "http://127.0.0.1:1/elsewhere"),
        ((200, b"<html>Sign in</html>", {"Content-Type": "text/html; charset=utf-8"}), "web page"),
    ],
)
def test_what_is_the_same_for_every_image_ends_the_run_at_once(data: Path, reply: Any, said_: str) -> None:
    with serving(lambda number, body: reply) as server, pytest.raises(UserError) as caught:
        tagged(data, server, parallel=1)
    assert said_ in str(caught.value)
    assert len(server.seen) == 1
    assert texts(data) == {}


def test_a_server_that_is_down_is_not_asked_for_every_image(tmp_path: Path) -> None:
    data = make_images(tmp_path / "many", {f"{n:02d}": (n, 0, 0) for n in range(30)})
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # a port at which nobody listens
        with pytest.raises(UserError) as caught:
            tagged(data, f"http://127.0.0.1:{bound.getsockname()[1]}/v1", retries=1)
    assert caught.value.code == "tagger.unreachable"
    assert "run the same again" in caught.value.remedy


def test_what_was_answered_before_a_server_went_down_is_not_asked_again(tmp_path: Path) -> None:
    data = make_images(tmp_path / "some", {f"{n:02d}": (8 * n, 0, 0) for n in range(12)})
    up = threading.Event()

    def reply(number: int, body: dict[str, Any]) -> Any:
        return said(f"Text {number}.") if number <= 5 or up.is_set() else (401, b"", {})

    with serving(reply) as server:
        with pytest.raises(UserError):
            tagged(data, server, parallel=1)
        assert texts(data) == {}
        asked = len(server.seen)
        up.set()
        outcome = tagged(data, server, parallel=1)
    assert outcome.models[0].kept == 5
    assert len(server.seen) - asked == 7
    assert len(texts(data)) == 12


def test_a_server_that_never_ends_its_answer(data: Path) -> None:
    with (
        serving(lambda number, body: (200, b"", {"X-Slowly": "1", "Content-Length": "100000"})) as server,
        pytest.raises(UserError) as caught,
    ):
        tagged(data, server, retries=0, timeout=0.3)
    assert caught.value.code == "tagger.timeout"
    assert "0.3 seconds" in caught.value.message


def test_requests_are_bounded(tmp_path: Path) -> None:
    data = make_images(tmp_path / "many", {f"{n:02d}": (8 * n, 0, 0) for n in range(12)})
    together = threading.Barrier(3, timeout=20)

    def reply(number: int, body: dict[str, Any]) -> Any:
        together.wait()  # three at a time, or the test fails
        return said("A cat.")

    with serving(reply) as server:
        tagged(data, server, parallel=3)
    assert server.most == 3


def test_long_answers_are_cut(data: Path) -> None:
    with serving(lambda number, body: said("One two three. " * 200)) as server:
        tagged(data, server, prose=Prose(longest=100))
    assert set(texts(data).values()) == {" ".join(["One two three."] * 6)}


def test_answers_that_are_tags_become_tags(data: Path) -> None:
    (data / "a.txt").write_text("Red Hat, mine")
    with serving(lambda number, body: said("red hat, 1girl,  smile")) as server:
        tagged(data, server, existing="append")
    assert texts(data)["a"] == "Red Hat, mine, 1girl, smile"


@pytest.mark.parametrize("where", ["file", "environment"])
def test_the_key_is_sent_and_nowhere_kept(data: Path, tmp_path: Path, monkeypatch: Any, where: str) -> None:
    key = "sk-secret-4711"
    if where == "file":
        path = tmp_path / "key"
        path.write_text(key + "\n")
        path.chmod(0o600)
        options = {"key_file": str(path)}
    else:
        monkeypatch.setenv("MY_KEY", key)
        options = {"key_variable": "MY_KEY"}
    with serving(lambda number, body: said("A cat.")) as server:
        tagged(data, server, **options)
    assert {one["headers"]["Authorization"] for one in server.seen} == {f"Bearer {key}"}
    kept = [*data.rglob("*"), *Path(os.environ["LORA_TUI_HOME"]).rglob("*")]
    assert not [path for path in kept if path.is_file() and key.encode() in path.read_bytes()]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o620])
def test_a_key_that_others_may_read_is_refused(data: Path, tmp_path: Path, mode: int) -> None:
    path = tmp_path / "key"
    path.write_text("sk-1")
    path.chmod(mode)
    with pytest.raises(UserError, match="chmod 600") as caught:
        tagged(data, "http://127.0.0.1:1", key_file=str(path))
    assert caught.value.code == "tagger.key"


@pytest.mark.parametrize("content", ["", "two words", "kéy", "a\nb", "x" * 9000])
def test_what_is_no_key(data: Path, tmp_path: Path, content: str) -> None:
    path = tmp_path / "key"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(UserError) as caught:
        tagged(data, "http://127.0.0.1:1", key_file=str(path))
    assert caught.value.code == "tagger.key"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:8000",
        "ftp://x/v1",
        "http://",
        "http://user:pw@x/v1",
        "http://x\n/v1",
        "http://127.0.0.1:99999/v1",
        "http://x:port/v1",
        "http://a b/v1",
        "http://[::1",
    ],
)
def test_addresses_that_are_none(data: Path, url: str) -> None:
    with pytest.raises(UserError) as caught:
        tagged(data, url)
    assert caught.value.code == "tagger.url"
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize("prompt", ["", "{tag}", "{", "x" * 30_000])
def test_prompts_that_cannot_be_filled_in(data: Path, prompt: str) -> None:
    if prompt == "{":  # a brace alone is text
        with serving(lambda number, body: said(prompt_of(body) + " cat")) as server:
            tagged(data, server, prompt=prompt)
        assert set(texts(data).values()) == {"{ cat"}
        return
    with pytest.raises(UserError) as caught:
        tagged(data, "http://127.0.0.1:1", prompt=prompt)
    assert caught.value.code == "tagger.prompt"


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        ("http://h:8000", "http://h:8000/v1/chat/completions"),
        ("http://h:8000/", "http://h:8000/v1/chat/completions"),
        ("http://h:8000/v1/", "http://h:8000/v1/chat/completions"),
        ("https://h/api/v1?x=1", "https://h/api/v1/chat/completions?x=1"),
        ("http://h/v1/chat/completions", "http://h/v1/chat/completions"),
    ],
)
def test_the_address_that_is_asked(url: str, asked: str) -> None:
    assert address(url) == asked


def test_a_key_in_the_clear_is_warned_of(data: Path) -> None:
    assert goes_in_the_clear("http://example.org/v1")
    assert not any(
        map(goes_in_the_clear, ("https://example.org", "http://localhost:1", "http://127.0.0.1", "http://[::1]:5"))
    )


def test_a_proxy_of_the_environment_is_not_asked_for_this_machine(data: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with serving(lambda number, body: said("A cat.")) as server:
        tagged(data, server)
    assert len(server.seen) == 3


def test_an_image_that_changes_while_it_waits_is_not_answered_for_its_other_content(data: Path) -> None:
    before = (data / "c.png").read_bytes()

    def reply(number: int, body: dict[str, Any]) -> Any:
        if number == 1:
            Image.new("RGB", (50, 50), "yellow").save(data / "c.png")
        return said(f"Text {number}.")

    with serving(reply) as server:
        outcome = tagged(data, server, parallel=1)
        assert {number: error.code for number, error in outcome.failed.items()} == {2: "tagger.changed"}
        assert set(texts(data)) == {"a", "b"}
        (data / "c.png").write_bytes(before)
        again = tagged(data, server, parallel=1, existing="replace")
    assert (again.models[0].kept, len(again.failed)) == (2, 0)
    assert texts(data)["c"] == "Text 4."


def test_a_server_that_never_ends_its_headers(data: Path) -> None:
    listening, over = socket.create_server(("127.0.0.1", 0)), threading.Event()

    def dribble(client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            client.recv(65_536)
            client.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
            while not over.wait(0.05):
                client.sendall(b"x")

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=dribble, args=(listening.accept()[0],), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    began = time.monotonic()
    try:
        with pytest.raises(UserError) as caught:
            tagged(data, f"http://127.0.0.1:{listening.getsockname()[1]}/v1", retries=0, timeout=0.3)
    finally:
        over.set()
        listening.close()
    assert caught.value.code == "tagger.timeout"
    assert time.monotonic() - began < 20
