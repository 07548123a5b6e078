"""Captions from a server that speaks OpenAI's protocol: vLLM, LM Studio, Ollama, or one on the internet.

The picture goes along as a JPEG in the request. What comes back is text from outside, and may be anything: an error
page, escape codes, nothing, or nothing for minutes. What may pass is tried again with growing pauses; what will be the
same for every image ends the run.
"""

from __future__ import annotations

import base64
import contextlib
import io
import json
import random
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from lora_tui.dataset.buckets import Box, Size
from lora_tui.dataset.load import open_upright
from lora_tui.errors import UserError
from lora_tui.tagging.cache import Answer
from lora_tui.tagging.clean import caption_text, one_line, whole_sentences
from lora_tui.tagging.keys import is_loopback, read_key
from lora_tui.tagging.request import Endpoint
from lora_tui.tagging.tagger import Device, FatalError
from lora_tui.tagging.timed_http import timed_handlers
from lora_tui.text import _, plain

_LARGEST = 2 << 20
"""Bytes of an answer; nobody writes a caption as long."""
_PATIENCE = 3
"""Images in a row that fail because nothing answers; then nothing is asked any more."""
_LONGEST_WAIT = 60.0
_PASSING = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529})
_SAME_FOR_ALL = frozenset({401, 402, 403, 404, 405})


def open_tagger(settings: Mapping[str, Any], device: Device) -> EndpointTagger:
    """The tagger of a server, see :class:`~lora_tui.tagging.models.Model`. Nothing is asked yet.

    Raises:
        UserError: the key cannot be read.
    """
    return EndpointTagger(settings)


class _PassingError(Exception):
    """A failure that may pass; the argument is the error if it does not, the second how long to wait, seconds."""

    def __init__(self, error: UserError, wait: float = 0.0, *, silent: bool = False) -> None:
        super().__init__(error.message)
        self.error, self.wait, self.silent = error, wait, silent


class EndpointTagger:
    """A server; every thread that prepares asks it."""

    batch = 1

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._settings = settings
        self._url = address(settings["url"])
        self._place = plain(f"{self._url}, {settings['model']}")
        names = ("key_variable", "key_file")
        self._key = read_key(Endpoint(**{name: settings[name] for name in names}))
        handlers: list[urllib.request.BaseHandler] = [_NoRedirect(), *timed_handlers()]
        if is_loopback(urlsplit(self._url).hostname or ""):
            handlers.append(urllib.request.ProxyHandler({}))
        self._opener = urllib.request.build_opener(*handlers)
        self._guard = threading.Lock()
        self._unanswered = 0
        self.threads = int(settings["parallel"])
        self.told = plain(urlsplit(self._url).netloc)

    def prepare(self, path: Path, prompt: str, part: Box | None = None) -> str:
        """The caption of one image: all of the work happens here, in as many threads as requests are wanted.

        Raises:
            UserError: the image cannot be read, or the server has no caption for it.
            FatalError: the server is not there, or will answer no image.
        """
        body = self._body(path, prompt, part)
        for attempt in range(self._settings["retries"] + 1):
            try:
                text = self._asked(body)
                self._note(answered=True)
                return caption_text(text)
            except _PassingError as failure:
                if not failure.silent:
                    self._note(answered=True)
                if attempt == self._settings["retries"]:
                    self._give_up(failure)
                    raise failure.error from None
                pause = max(self._settings["wait"] * 2**attempt * random.uniform(0.8, 1.2), failure.wait)
                time.sleep(min(pause, _LONGEST_WAIT))
        raise AssertionError("unreachable")

    def answer(self, prepared: Sequence[str]) -> list[Answer]:
        """The captions as they are."""
        return list(prepared)

    def _body(self, path: Path, prompt: str, part: Box | None) -> bytes:
        content = [
            {"type": "text", "text": prompt},
            {
                "type": "image_url",
                "image_url": {"url": "data:image/jpeg;base64," + _jpeg(path, self._settings["side"], part)},
            },
        ]
        return json.dumps(
            {
                "model": self._settings["model"],
                "messages": [{"role": "user", "content": content}],
                "max_tokens": self._settings["tokens"],
                "temperature": self._settings["temperature"],
                "stream": False,
            }
        ).encode()

    def _asked(self, body: bytes) -> str:
        """The text of one answer, as it came."""
        headers = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "lora-tui"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        request = urllib.request.Request(self._url, body, headers, method="POST")
        try:
            with self._opener.open(request, timeout=self._settings["timeout"]) as answered:
                if answered.headers.get_content_type() == "text/html":
                    raise FatalError(self._page())
                raw = answered.read(_LARGEST)
        except urllib.error.HTTPError as error:
            with error:
                raise self._refused(error, _reason(_rest(error))) from None
        except TimeoutError:
            raise _PassingError(self._late(), silent=True) from None
        except urllib.error.URLError as error:
            if isinstance(error.reason, TimeoutError):
                raise _PassingError(self._late(), silent=True) from None
            raise _PassingError(self._absent(str(error.reason)), silent=True) from None
        except (OSError, HTTPException, ValueError) as error:
            raise _PassingError(self._absent(str(error) or type(error).__name__), silent=True) from None
        return self._text(raw)

    def _text(self, raw: bytes) -> str:
        """The words in an answer of the protocol.

        Raises:
            UserError: the server's own filter or model declines.
        """
        try:
            choice = json.loads(raw)["choices"][0]
            message = choice["message"]
            content = message.get("content")
            if isinstance(content, list):
                content = " ".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
        except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
            shown = one_line(raw[:400].decode("utf-8", "replace"))
            error = UserError(
                _("The server answers something else than its protocol: {text}").format(text=plain(shown, limit=120)),
                place=self._place,
                remedy=_("Check the address: it ends with /v1, and the model reads pictures."),
                code="tagger.nonsense",
            )
            raise _PassingError(error) from None
        declined = message.get("refusal")
        if declined or choice.get("finish_reason") == "content_filter":
            raise UserError(
                _("The model declines: “{answer}”").format(
                    answer=plain(one_line(str(declined or content or "")), limit=120)
                ),
                remedy=_("Try another prompt or another model for this image."),
                code="tagger.refused",
            )
        text = content if isinstance(content, str) else ""
        return whole_sentences(text) if choice.get("finish_reason") == "length" else text

    def _refused(self, error: urllib.error.HTTPError, reason: str) -> Exception:
        """What to do about an answer with an error's number."""
        told = UserError(
            _("The server answers {status}: {reason}.").format(
                status=error.code, reason=(reason or plain(str(error.reason))).rstrip(".")
            ),
            place=self._place,
            remedy=_advice(error),
            code="tagger.endpoint",
        )
        if error.code in _PASSING:
            return _PassingError(told, _retry_after(error))
        if error.code in _SAME_FOR_ALL or 300 <= error.code < 400:
            return FatalError(told)
        return told

    def _give_up(self, failure: _PassingError) -> None:
        """Note an image that failed for good; after some in a row to which nothing answered, nothing is asked.

        Raises:
            FatalError: this was one too many.
        """
        if failure.silent and self._note(answered=False) >= _PATIENCE:
            raise FatalError(failure.error)

    def _note(self, *, answered: bool) -> int:
        with self._guard:
            self._unanswered = 0 if answered else self._unanswered + 1
            return self._unanswered

    def _page(self) -> UserError:
        return UserError(
            _("The server answers with a web page, not with a caption."),
            place=self._place,
            remedy=_("Check the address: it ends with /v1. A page to sign in may stand before the server."),
            code="tagger.nonsense",
        )

    def _late(self) -> UserError:
        return UserError(
            _("The server did not answer within {seconds:g} seconds.").format(seconds=self._settings["timeout"]),
            place=self._place,
            remedy=_("Give it more time with --timeout, or ask less at once with --parallel."),
            code="tagger.timeout",
        )

    def _absent(self, reason: str) -> UserError:
        return UserError(
            _("The server cannot be reached: {reason}.").format(reason=plain(reason, limit=160).rstrip(".")),
            place=self._place,
            remedy=_("Check that it runs and that the address is right; answers so far are kept, run the same again."),
            code="tagger.unreachable",
        )


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows no redirection: the key would go to wherever it leads."""

    def redirect_request(self, *_args: Any, **_options: Any) -> None:
        return None


def address(url: str) -> str:
    """The address that is asked, of the server's as people write it: with or without ``/v1`` and what follows."""
    parts = urlsplit(url.strip())
    path = parts.path.rstrip("/")
    if not path.endswith("/chat/completions"):
        path = (path or "/v1") + "/chat/completions"
    return urlunsplit((parts.scheme, parts.netloc, path, parts.query, ""))


def _jpeg(path: Path, side: int, part: Box | None) -> str:
    """The picture as a JPEG no larger than ``side`` px, in base64."""
    from PIL import Image

    image = open_upright(path, at_least=Size(side, side), part=part)
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    held = io.BytesIO()
    image.save(held, "JPEG", quality=92)
    return base64.b64encode(held.getvalue()).decode("ascii")


def _rest(error: urllib.error.HTTPError) -> bytes:
    """What an error's page says, if it comes."""
    with contextlib.suppress(OSError, HTTPException, ValueError):
        return error.read(_LARGEST)
    return b""


def _reason(raw: bytes) -> str:
    """Why a server says that it does not answer, in its own words, for a person."""
    text = raw.decode("utf-8", "replace")
    try:
        data = json.loads(text)
        error = data.get("error", data) if isinstance(data, dict) else data
        if isinstance(error, dict):
            text = str(error.get("message") or error.get("detail") or error)
        elif isinstance(error, str):
            text = error
    except (ValueError, RecursionError):
        pass
    return plain(one_line(text), limit=200)


def _advice(error: urllib.error.HTTPError) -> str:
    if error.code in (401, 403):
        return _("Give a key with --key-file or --key-env.")
    if error.code == 404:
        return _("Check the address and the model's name as the server lists it at /v1/models.")
    if 300 <= error.code < 400:
        return _("It leads to {url}; give that address if it is meant.").format(
            url=plain(str(error.headers.get("Location", "?")), limit=200)
        )
    return _("See what the server prints.")


def _retry_after(error: urllib.error.HTTPError) -> float:
    """Seconds that a server asks to wait."""
    value = str(error.headers.get("Retry-After", ""))
    return float(value) if value.isascii() and value.isdigit() and len(value) < 6 else 0.0
