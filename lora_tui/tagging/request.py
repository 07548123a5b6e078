"""What a person asks of a tagging: models, rules, and what becomes of captions that are there. Data only.

The same words are the options of the command, of the screen and of a task in the background.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from lora_tui.errors import UserError
from lora_tui.tagging.clean import LONGEST
from lora_tui.tagging.combine import Combination
from lora_tui.tagging.rules import Rules, Thresholds
from lora_tui.text import _, plain

Kind = Literal["auto", "wd14", "onnx", "florence2", "blip", "endpoint"]
KINDS: tuple[Kind, ...] = ("auto", "wd14", "onnx", "florence2", "blip", "endpoint")
Existing = Literal["skip", "replace", "prepend", "append", "merge"]
EXISTING: tuple[Existing, ...] = ("skip", "replace", "prepend", "append", "merge")
Detail = Literal["caption", "detailed", "more-detailed"]
DETAILS: tuple[Detail, ...] = ("caption", "detailed", "more-detailed")

PROMPT = (
    "Describe this image in one or two sentences for training an image model. Say what is shown, its look and its "
    "setting, without introduction."
)
_STRICT = {"extra": "forbid"}


@dataclass(frozen=True)
class ModelChoice:
    """One model.

    Attributes:
        kind: what it is; ``auto`` finds out by its files.
        name: a folder, a file, a name on the hub; for an endpoint the name that the server knows it by.
        threshold: of its general and further tags; none takes that of the rules.
    """

    kind: Kind = "auto"
    name: str = ""
    threshold: float | None = None


@dataclass(frozen=True)
class Prose:
    """How sentences are asked for.

    Attributes:
        detail: the task of Florence-2.
        begin: words that the caption of BLIP begins with.
        beams: of the search for the likeliest words.
        words: tokens that a local model may write at most.
        longest: characters of a caption at most.
    """

    detail: Detail = "detailed"
    begin: str = ""
    beams: int = 3
    words: int = 256
    longest: int = 1_500


@dataclass(frozen=True)
class Endpoint:
    """A server that speaks OpenAI's protocol, and how it is asked.

    Attributes:
        url: of the server, with or without ``/v1``.
        key_variable: the environment variable that holds the key; empty for none.
        key_file: a file that holds it and that nobody else may read; empty for none.
        prompt: with ``{tags}`` (the image's tags), ``{name}`` (its file's) and ``{trigger}``.
        timeout: seconds for a whole answer.
        retries: after an answer that fails in a way that may pass.
        wait: seconds before the first of them, twice as many before each further one.
        parallel: requests at a time.
        side: px of the longer side of the picture that is sent.
        tokens: that the answer may have.
        temperature: 0 for the likeliest words.
    """

    url: str = ""
    key_variable: str = "LORA_TUI_ENDPOINT_KEY"
    key_file: str = ""
    prompt: str = PROMPT
    timeout: float = 120.0
    retries: int = 4
    wait: float = 1.0
    parallel: int = 4
    side: int = 1024
    tokens: int = 400
    temperature: float = 0.0


@dataclass(frozen=True)
class Request:
    """A whole tagging.

    Attributes:
        models: one or several.
        combine, votes: how the tags of several models become one list, see :mod:`~lora_tui.tagging.combine`.
        existing: what becomes of a caption that is there: ``skip`` leaves such images alone, ``replace`` takes its
            place, ``prepend`` and ``append`` add what is missing, ``merge`` puts what both have and what is new into
            the tagger's order behind the person's own tags.
        trigger: a word that is put first in every caption that is written; empty for none.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:1``.
        batch: images that a model sees at once; 0 for what suits the device.
        threads: of one calculation; 0 leaves it to the library.
        again: ask the models even where their answers are kept.
    """

    models: tuple[ModelChoice, ...]
    rules: Rules = field(default_factory=Rules)
    combine: Combination = "union"
    votes: int = 0
    existing: Existing = "skip"
    trigger: str = ""
    prose: Prose = field(default_factory=Prose)
    endpoint: Endpoint = field(default_factory=Endpoint)
    device: str = "auto"
    batch: int = 0
    threads: int = 0
    again: bool = False

    def as_options(self) -> dict[str, Any]:
        """The request as JSON can hold it; :func:`of_options` reads it."""
        return asdict(self)

    def checked(self) -> Request:
        """The request itself.

        Raises:
            UserError: ``tagger.request`` when something in it cannot be.
        """
        if not self.models:
            raise _wrong("models", _("no model is named"))
        if not re.fullmatch(r"auto|cpu|cuda(:\d{1,3})?", self.device):
            raise _wrong("device", _("choose auto, cpu, cuda or cuda:N"))
        limits = (
            ("batch", self.batch, 0, 4096),
            ("threads", self.threads, 0, 1024),
            ("votes", self.votes, 0, len(self.models)),
            ("beams", self.prose.beams, 1, 32),
            ("words", self.prose.words, 1, 4096),
            ("longest", self.prose.longest, 20, LONGEST),
            ("parallel", self.endpoint.parallel, 1, 256),
            ("retries", self.endpoint.retries, 0, 20),
            ("wait", self.endpoint.wait, 0, 600),
            ("timeout", self.endpoint.timeout, 0.1, 3600),
            ("side", self.endpoint.side, 32, 8192),
            ("tokens", self.endpoint.tokens, 1, 32768),
            ("temperature", self.endpoint.temperature, 0, 2),
        )
        for name, value, least, most in limits:
            if not least <= value <= most:
                raise _wrong(name, _("a number from {least} to {most} is wanted").format(least=least, most=most))
        if any(sign in self.trigger for sign in ",\r\n"):
            raise _wrong("trigger", _("a trigger word has no commas or line ends"))
        return self


def of_options(options: Mapping[str, Any]) -> Request:
    """The request that :meth:`Request.as_options` gave.

    Raises:
        UserError: ``tagger.request`` when it is none.
    """
    from pydantic import TypeAdapter, ValidationError

    for kind in (ModelChoice, Thresholds, Rules, Prose, Endpoint, Request):
        kind.__pydantic_config__ = _STRICT  # type: ignore[union-attr]
    try:
        return TypeAdapter(Request).validate_python(dict(options)).checked()
    except ValidationError as error:
        first = error.errors()[0]
        raise _wrong(".".join(map(str, first["loc"])), plain(str(first["msg"]), limit=200)) from error


def choice(text: str, kind: Kind = "auto") -> ModelChoice:
    """A model as a person writes it: ``[KIND:]NAME[@THRESHOLD]``.

    Raises:
        UserError: the threshold is none.
    """
    before, colon, after = text.partition(":")
    for one in KINDS:
        if colon and before == one:
            kind, text = one, after
    name, at, threshold = text.rpartition("@")
    if at and re.fullmatch(r"\d*\.?\d+", threshold):
        Thresholds(general=float(threshold))
        return ModelChoice(kind, name, float(threshold))
    return ModelChoice(kind, text)


def _wrong(place: str, reason: str) -> UserError:
    return UserError(_("This cannot be: {reason}.").format(reason=reason), place=place, code="tagger.request")
