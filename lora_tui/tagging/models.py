"""Which model is meant, where it lies, and what it is by content. Loads nothing of it but its list of tags.

A model is known by the content of its files and by all settings that its answers depend on, so that kept answers are
found again wherever it lies, and those of another model never are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from lora_tui.errors import UserError
from lora_tui.hub import Progress
from lora_tui.places import exists, expand, is_file, is_folder
from lora_tui.tagging import hub
from lora_tui.tagging.cache import AnswerCache, digest_of_parts
from lora_tui.tagging.clean import one_line
from lora_tui.tagging.description import Description, read_description, wd14
from lora_tui.tagging.keys import read_key
from lora_tui.tagging.request import Endpoint, Kind, ModelChoice, Request
from lora_tui.tagging.rules import Thresholds
from lora_tui.tagging.vocabulary import Vocabulary, read_vocabulary
from lora_tui.text import _, plain

DEFAULTS = {
    "wd14": "SmilingWolf/wd-vit-tagger-v3",
    "florence2": "florence-community/Florence-2-base",
    "blip": "Salesforce/blip-image-captioning-base",
}
"""The model that is taken where only the kind is named."""

_WD_FILES = ("model.onnx", "selected_tags.csv")
_WD_PATTERNS = ("model.onnx", "model.onnx.data", "model.onnx_data", "selected_tags.csv")
_LANGUAGE_FILES = ("*.json", "*.txt", "*.model", "*.safetensors")
_LANGUAGE_NEEDED = ("config.json", "*processor_config.json", "tokenizer*", "*.safetensors")
_SNAPSHOT = re.compile(r"models--.+?--(?P<model>.+)")
_FORMAT = 1
"""Rises when pictures are prepared in another way, so that answers of before are not taken for those of now."""


@dataclass(frozen=True)
class Model:
    """A model that is there.

    Attributes:
        kind: which tagger works with it.
        name: by which the journal and a person know it; one word.
        settings: what the worker needs; JSON can hold it.
        files: their content, with ``matter``, is what the answers depend on.
        vocabulary: its tags; none for models that write sentences.
        thresholds: its own; none takes those of the rules.
    """

    kind: Kind
    name: str
    settings: dict[str, Any]
    files: tuple[Path, ...] = ()
    matter: tuple[str, ...] = ()
    vocabulary: Vocabulary | None = None
    thresholds: Thresholds | None = None

    def identity(self, cache: AnswerCache) -> str:
        """What the model is, as hexadecimal digits; large files are read once and known again by their time.

        Raises:
            UserError: ``tagger.unreadable``.
        """
        parts: list[str | bytes] = [str(_FORMAT), self.kind, *self.matter]
        for path in self.files:
            try:
                parts += [path.name, cache.digest_of(path)]
            except OSError as error:
                raise unreadable(path, error) from error
        return digest_of_parts(parts).hex()


def resolve(
    choice: ModelChoice,
    request: Request,
    *,
    on_progress: Progress | None = None,
    should_stop: Callable[[], bool] | None = None,
    here: bool = False,
) -> Model:
    """The model that is meant, fetched from the hub when it is nowhere on this machine.

    Args:
        here: fetch nothing.

    Raises:
        UserError: there is no such model, or it is not what it is said to be; ``tagger.elsewhere`` where it would have
            to be fetched and must not be.
        hub.StoppedError: ``should_stop`` said yes while it was fetched.
    """

    def fetch(name: str, patterns: tuple[str, ...], needed: tuple[str, ...]) -> Path:
        if here:
            if (found := hub.cached(name, needed)) is None:
                raise UserError(_("The model is not on this machine yet."), place=plain(name), code="tagger.elsewhere")
            return found
        return hub.fetched(name, patterns, needed, on_progress=on_progress, should_stop=should_stop)

    kind = _kind(choice, request)
    if kind == "endpoint":
        found = _endpoint(choice.name, request.endpoint)
    elif kind == "onnx":
        found = _described(choice.name)
    elif kind == "wd14":
        found = _wd14(choice.name or DEFAULTS[kind], fetch)
    else:
        found = _captioner(kind, choice.name or DEFAULTS[kind], request, fetch)
    if choice.threshold is not None:
        own = request.rules.thresholds
        found = replace(found, thresholds=replace(own, general=choice.threshold, other=choice.threshold))
    return found


def unreadable(path: Path, error: OSError) -> UserError:
    """The error of a file of a model that cannot be read."""
    return UserError(
        _("The model cannot be read: {reason}.").format(reason=plain(error.strerror or str(error))),
        place=plain(str(path)),
        remedy=_("Check the file and its permissions."),
        code="tagger.unreadable",
    )


def _kind(choice: ModelChoice, request: Request) -> Kind:
    """The kind as it is said, else by the model's files, else by the words of its name."""
    if choice.kind != "auto":
        return choice.kind
    path = expand(choice.name)
    if choice.name.startswith(("/", "./", "../", "~")) and not exists(path):
        raise UserError(
            _("There is no such folder or file."),
            place=plain(choice.name),
            remedy=_("Name a folder that holds a model, or a model of the hub as OWNER/NAME."),
            code="tagger.missing",
        )
    if choice.name and is_folder(path):
        if is_file(path / "selected_tags.csv"):
            return "wd14"
        if found := {"florence2": "florence2", "blip": "blip"}.get(_config(path).get("model_type", "")):
            return found  # type: ignore[return-value]
        if is_file(path / "model.onnx"):  # its list of tags is missing, which is said then
            return "wd14"
    elif choice.name.lower().endswith(".toml"):
        return "onnx"
    elif choice.name.lower().endswith(".onnx") and is_file(path.parent / "selected_tags.csv"):
        return "wd14"
    elif request.endpoint.url:
        return "endpoint"
    elif not choice.name:
        return "wd14"
    for kind, words in (("florence2", ("florence",)), ("blip", ("blip",)), ("wd14", ("wd-", "wd14", "wd_"))):
        if any(word in path.name.lower() for word in words):
            return kind  # type: ignore[return-value]
    raise UserError(
        _("What kind of tagger this is cannot be told."),
        place=plain(choice.name),
        remedy=_("Say it with --tagger: wd14, onnx, florence2, blip or endpoint."),
        code="tagger.kind",
    )


def _wd14(name: str, fetch: Callable[..., Path]) -> Model:
    path = expand(name)
    if is_file(path):
        folder, file = path.parent, path.name
    else:
        folder, file = _place(name, path, _WD_PATTERNS, _WD_FILES, fetch), _WD_FILES[0]
    for lacking in (file, _WD_FILES[1]):
        if not is_file(folder / lacking):
            raise UserError(
                _("The folder of the tagger has no {file}.").format(file=lacking),
                place=plain(str(folder)),
                remedy=_(
                    "A WD tagger is model.onnx and selected_tags.csv in one folder; describe others in a TOML file."
                ),
                code="tagger.incomplete",
            )
    return _onnx("wd14", wd14(folder.absolute(), _name_of(folder, name), file))


def _described(name: str) -> Model:
    path = expand(name)
    if not name.lower().endswith(".toml") or not is_file(path):
        raise UserError(
            _("A TOML file that describes the tagger is wanted here."),
            place=plain(name),
            remedy=_("See docs/tagging.md."),
            code="tagger.description",
        )
    return _onnx("onnx", read_description(path))


def _onnx(kind: Kind, found: Description) -> Model:
    beside = [found.model.with_name(found.model.name + ending) for ending in (".data", "_data")]
    files = (found.model, found.tags, *(path for path in beside if is_file(path)))
    vocabulary = read_vocabulary(found.tags)
    settings = {"description": found.as_plain(), "tags": len(vocabulary)}
    return Model(kind, _word(found.name), settings, files, (found.matter,), vocabulary)


def _captioner(kind: Kind, name: str, request: Request, fetch: Callable[..., Path]) -> Model:
    """Florence-2 or BLIP: a folder in the layout of transformers."""
    path, prose = expand(name), request.prose
    if kind == "florence2" and not is_folder(path) and name.lower().startswith("microsoft/florence-2"):
        raise _original(name, name.partition("/")[2])
    folder = _place(name, path, _LANGUAGE_FILES, _LANGUAGE_NEEDED, fetch)
    config = _config(folder)
    if kind == "florence2" and _is_original(config):
        raise _original(str(folder), _name_of(folder, name))
    if config.get("model_type") != kind:
        raise UserError(
            _("This is no {kind} model in the layout of transformers: its config.json says “{type}”.").format(
                kind=kind, type=plain(str(config.get("model_type", "")), limit=60)
            ),
            place=plain(str(folder)),
            remedy=_("Such as {name}.").format(name=DEFAULTS[kind]),
            code="tagger.layout",
        )
    files = sorted(one for one in folder.iterdir() if one.suffix in (".json", ".txt", ".model", ".safetensors", ".bin"))
    if not any(one.suffix in (".safetensors", ".bin") for one in files):
        raise UserError(
            _("The folder has no weights."),
            place=plain(str(folder)),
            remedy=_("Copy it again from where the model comes from."),
            code="tagger.incomplete",
        )
    asked = {"detail": prose.detail} if kind == "florence2" else {"begin": prose.begin}
    settings = {"folder": str(folder.absolute()), "beams": prose.beams, "words": prose.words, **asked}
    matter = json.dumps({key: value for key, value in settings.items() if key != "folder"}, sort_keys=True)
    return Model(kind, _word(_name_of(folder, name)), settings, tuple(files), (matter,))


def _endpoint(name: str, endpoint: Endpoint) -> Model:
    url = endpoint.url.strip()
    if not _is_address(url):
        scheme, slashes, rest = url.partition("//") if "//" in url else ("", "", url)
        raise UserError(
            _("The address of the server is wanted, such as http://localhost:8000/v1, without a name or key in it."),
            place=plain(scheme + slashes + rest.rpartition("@")[2], limit=200) if url else "--url",
            code="tagger.url",
        )
    if not name:
        raise UserError(_("The name of the server's model is missing."), place="--model", code="tagger.endpoint_model")
    read_key(endpoint)  # a mistake shows before anything is read
    settings = {
        "url": url, "model": name, "key_variable": endpoint.key_variable, "key_file": endpoint.key_file,
        "timeout": endpoint.timeout, "retries": endpoint.retries, "wait": endpoint.wait,
        "parallel": endpoint.parallel, "side": endpoint.side, "tokens": endpoint.tokens,
        "temperature": endpoint.temperature,
    }  # fmt: skip
    matter = json.dumps({key: settings[key] for key in ("url", "model", "side", "tokens", "temperature")})
    return Model("endpoint", _word(name), settings, (), (matter,))


def _is_address(url: str) -> bool:
    """Whether something can be asked at ``url``: a host that can be, a port that can be, nobody's name."""
    try:
        parts = urlsplit(url)
        if parts.port == 0:
            return False
    except ValueError:  # no port, or no address in the brackets
        return False
    known = parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc
    return known and url.isprintable() and " " not in url


def _place(
    name: str, path: Path, patterns: tuple[str, ...], needed: tuple[str, ...], fetch: Callable[..., Path]
) -> Path:
    """The folder of a model by its path or its name on the hub."""
    if is_folder(path):
        return path
    if hub.is_hub_name(name):
        return fetch(name, patterns, needed)
    raise UserError(
        _("There is no such model."),
        place=plain(name),
        remedy=_("Name its folder, or its name on the hub such as {name}.").format(name=DEFAULTS["wd14"]),
        code="tagger.missing",
    )


def _config(folder: Path) -> dict[str, Any]:
    """What ``config.json`` says; empty when it cannot be read."""
    try:
        with (folder / "config.json").open("rb") as file:
            data = json.loads(file.read(4_000_000))
    except (OSError, ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def _is_original(config: dict[str, Any]) -> bool:
    """Whether a Florence-2 is in Microsoft's own layout, which needs code that comes with it."""
    vision = config.get("vision_config")
    return "auto_map" in config or (isinstance(vision, dict) and vision.get("model_type") == "davit")


def _original(place: str, name: str) -> UserError:
    known = name if re.fullmatch(r"Florence-2-(base|large)(-ft)?", name) else "Florence-2-base"
    return UserError(
        _("This Florence-2 is in Microsoft's original layout, which runs code that comes with it."),
        place=plain(place),
        remedy=_("Take the same model in the layout of transformers: {name}").format(
            name=f"florence-community/{known}"
        ),
        code="tagger.layout",
    )


def _name_of(folder: Path, name: str) -> str:
    """What a person calls a model: the last part of its hub name, or its folder's name."""
    if not is_folder(expand(name)) and hub.is_hub_name(name):
        return name.partition("/")[2]
    if folder.parent.name == "snapshots" and (found := _SNAPSHOT.fullmatch(folder.parent.parent.name)):
        return found["model"]
    return folder.absolute().name


def _word(name: str) -> str:
    """``name`` as one word that can stand behind ``by:`` in a filter."""
    return re.sub(r"[\s,:+\"'()]+", "-", one_line(name)).strip("-")[:80] or "model"
