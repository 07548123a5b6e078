"""Places in a configuration: relative ones made absolute when read, and short again when written."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from functools import partial
from pathlib import Path
from typing import Any

from lora_tui.config.fields import fields
from lora_tui.places import expand, flaw

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_STRENGTH = re.compile(r" +strength=\S*\Z")
_FILE_SUFFIXES = (".safetensors", ".ckpt", ".pt", ".pth", ".bin")


def is_hub_name(text: str) -> bool:
    """Whether ``text`` has the form ``owner/model`` and cannot be a model file."""
    return _HUB_NAME.fullmatch(text) is not None and not text.lower().endswith(_FILE_SUFFIXES)


def absolute(text: str, base: Path, *, model: bool) -> str:
    """``text`` against the folder ``base``, ``~`` expanded; a hub name stays unless it is there as a folder."""
    if not text:
        return text
    full = os.path.abspath(base / expand(text))  # noqa: PTH100 - no links resolved
    if model and is_hub_name(text) and not os.path.lexists(full):
        return text
    return full


def shortened(text: str, base: Path, *, model: bool) -> str:
    """``text`` relative to ``base`` when it lies in it or beside it, so that a project can be moved."""
    if not text.startswith("/") or os.path.normpath(text) != text:
        return text
    folder = os.path.abspath(base)  # noqa: PTH100 - no links resolved
    parent = os.path.dirname(folder)  # noqa: PTH120
    if not _within(text, folder) and (parent == "/" or not _within(text, parent)):
        return text
    short = os.path.relpath(text, folder)
    return f"./{short}" if (model or short.startswith("~")) and not short.startswith("..") else short


def _within(text: str, folder: str) -> bool:
    return text == folder or text.startswith(folder.rstrip("/") + "/")


def place_and_words(text: str) -> tuple[str, str]:
    """A place in a list, and what is said of it behind a blank: ``("a.safetensors", " strength=0.5")``."""
    found = _STRENGTH.search(text)
    return (text[: found.start()], text[found.start() :]) if found else (text, "")


def changed_places(value: Any, change: Callable[[str], str]) -> Any:
    """A place, or each of a list of places, changed; what has another type is let be."""
    if isinstance(value, list):
        parted = [place_and_words(one) if isinstance(one, str) else (None, one) for one in value]
        return [words if place is None else change(place) + words for place, words in parted]
    return change(value) if isinstance(value, str) else value


def map_places(data: MutableMapping[str, Any], change: Callable[[str, bool], str]) -> None:
    """Replace each place in plain ``data`` by ``change(text, model)``; what has another type is let be."""
    for spec in fields():
        if not spec.option.path:
            continue
        found = data.get(spec.section)
        for entry in found if isinstance(found, list) else [found]:
            if isinstance(entry, dict) and spec.name in entry:
                one = partial(_as_told, change, spec.option.path == "model")
                entry[spec.name] = changed_places(entry[spec.name], one)


def _as_told(change: Callable[[str, bool], str], model: bool, text: str) -> str:
    return change(text, model)


def flaws(data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Key and sentence for each place in plain ``data`` that no file or folder can have."""
    for spec in fields():
        found = data.get(spec.section) if spec.option.path else None
        for number, entry in enumerate(found if isinstance(found, list) else [found]):
            value = entry.get(spec.name) if isinstance(entry, dict) else None
            for one in value if isinstance(value, list) else [value]:
                if isinstance(one, str) and (told := flaw(place_and_words(one)[0])):
                    yield (f"{spec.section}.{number}.{spec.name}" if spec.repeated else spec.key), told
