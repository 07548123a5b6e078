"""Extra arguments as people write them, ``name=value``: read, and held against what a class takes. Imports none of it.

The class is found in the source files of its library and read, not run, so that a configuration is checked on a
machine without torch and as quickly as a key is pressed.
"""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from lora_tui.errors import UserError
from lora_tui.text import _, plain

PLACE = "optimizer.args"
_DEEPEST = 6  # modules that a class may be handed on through
_WORD = re.compile(r"[A-Za-z_]\w*")


@dataclass(frozen=True)
class Parameters:
    """What a class is called with: the names that it takes, those that it cannot do without, and what the others are
    where nothing is said, as far as the source states it plainly."""

    names: tuple[str, ...]
    required: tuple[str, ...]
    defaults: Mapping[str, Any] = field(default_factory=dict)


def read_arguments(texts: Iterable[str], place: str = PLACE) -> dict[str, Any]:
    """The values of ``name=value`` texts: numbers, true, false, none, tuples, words; ``place`` is the setting.

    A text without ``=`` goes on with the one before it, since lists are cut at commas: ``betas=(0.9``, ``0.99)``.

    Raises:
        UserError: a text has no name, or one stands twice.
    """
    whole: list[str] = []
    for text in texts:
        if whole and "=" not in text:
            whole[-1] += f", {text}"
        else:
            whole.append(text)
    found: dict[str, Any] = {}
    for text in whole:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not equals or not _WORD.fullmatch(name) or not value or name in found:
            raise UserError(
                _("{text} is no argument of its own.").format(text=plain(text, limit=60)),
                place=place,
                remedy=_("Write each once as name=value, such as d_coef=2 or betas=(0.9, 0.99)."),
                code=place,
            )
        found[name] = _value(value)
    return found


def _value(text: str) -> Any:
    words = {"true": True, "false": False, "none": None}
    if text.lower() in words:
        return words[text.lower()]
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text


def full_place(kind: str, library: str) -> str:
    """Where a class named by a person lies, as ``module:Class``: ``torch.optim.RAdam``, or a bare name in ``library``.

    A bare name is found whatever its capitals; empty when it is not there.
    """
    module, dot, name = kind.strip().rpartition(".")
    if dot:
        return f"{module}:{name}"
    return _listed(library).get(name.lower(), "")


@lru_cache(maxsize=8)
def _listed(library: str) -> dict[str, str]:
    """Classes that the modules of ``library`` define, by their name in small letters."""
    root = _file_of(library)
    found: dict[str, str] = {}
    for path in sorted((root.parent / "optimizer").glob("*.py")) if root else ():
        for name in re.findall(r"^class (\w+)\(", path.read_text("utf-8", "replace"), re.MULTILINE):
            found.setdefault(name.lower(), f"{library}.optimizer.{path.stem}:{name}")
    return found


@lru_cache(maxsize=64)
def parameters_of(place: str) -> Parameters | None:
    """What the class at ``place`` (``module:Class``) takes besides the weights; none when it cannot be read."""
    module, _colon, name = place.partition(":")
    found = _find(module, name, _DEEPEST)
    if found is None:
        return None
    node, source = found
    start = next((one for one in node.body if isinstance(one, ast.FunctionDef) and one.name == "__init__"), None)
    if start is None:
        return None
    spec = start.args
    named = [one.arg for one in (*spec.posonlyargs, *spec.args)]
    without = named[: len(named) - len(spec.defaults)]
    missing = [one.arg for one, value in zip(spec.kwonlyargs, spec.kw_defaults, strict=True) if value is None]
    names = [*named, *(one.arg for one in spec.kwonlyargs)][2:]
    if spec.kwarg:  # taken as they come, so those that its code names
        names += [word for word in re.findall(r"""['"]([A-Za-z_]\w*)['"]""", source) if word not in names]
    required = tuple(name for name in (*without[2:], *missing) if name != "lr")
    return Parameters(tuple(names), required, dict(_defaults(spec)))


def _defaults(spec: ast.arguments) -> Iterator[tuple[str, Any]]:
    """The defaults that are plain values; where one is none, a value of the kind that the annotation names."""
    plain_ones = [*spec.posonlyargs, *spec.args]
    pairs = zip(plain_ones[len(plain_ones) - len(spec.defaults) :], spec.defaults, strict=True)
    for argument, node in (*pairs, *zip(spec.kwonlyargs, spec.kw_defaults, strict=True)):
        try:
            value = ast.literal_eval(node) if node is not None else None
        except (ValueError, SyntaxError, TypeError):
            continue  # it is computed
        if value is None and argument.annotation is not None and "bool" in ast.unparse(argument.annotation):
            value = False
        if value is not None:
            yield argument.arg, value


def _find(module: str, name: str, depth: int) -> tuple[ast.ClassDef, str] | None:
    path = _file_of(module)
    if path is None or depth == 0:
        return None
    try:
        source = path.read_text("utf-8", "replace")
        tree = ast.parse(source)
    except (OSError, SyntaxError, ValueError):
        return None
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and node.name == name:
            return node, source
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if alias.name in (name, "*") or alias.asname == name:
                    wanted = name if alias.name == "*" else alias.name
                    found = _find(_absolute(package, node), wanted, depth - 1)
                    if found is not None:
                        return found
    return None


def _absolute(package: str, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    above = package.split(".")
    base = ".".join(above[: len(above) - node.level + 1])
    return f"{base}.{node.module}" if node.module else base


def _file_of(module: str) -> Path | None:
    """The source file of ``module``, found without importing anything."""
    first, *rest = module.split(".")
    try:
        spec = importlib.util.find_spec(first)
    except (ImportError, ValueError, AttributeError):
        return None
    if spec is None or not spec.origin:
        return None
    path = Path(spec.origin)
    for part in rest:
        folder = path.parent
        path = folder / part / "__init__.py" if (folder / part).is_dir() else folder / f"{part}.py"
    return path if path.suffix == ".py" and path.is_file() else None


def installed(library: str) -> bool:
    """Whether ``library`` can be imported; it is not."""
    try:
        return importlib.util.find_spec(library) is not None
    except (ImportError, ValueError, AttributeError):
        return False
