"""Two threads may import at the same time: where modules need each other, there is one door to all of them.

While Python loads a module it holds that module's lock, and that of a child of a package is taken before the package's
own. When two threads enter a circle of modules at different places, each waits for what the other holds; Python breaks
one of the imports off, and a person sees an ImportError now and then. A circle needs no import that runs both ways: a
package whose ``__init__`` imports its own modules is one.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

EARLY = {
    "lora_tui.text": "import lora_tui.cli.main",
    "lora_tui.tui.screens": "import lora_tui.tui.app",
}
"""Packages whose circle is complete before any thread begins -> the first thing that a program does."""


def module_files() -> dict[str, Path]:
    found = {}
    for path in sorted((ROOT / "lora_tui").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(node: ast.AST, known: dict[str, Path], *, deep: bool) -> Iterator[str]:
    """Modules of ours that ``node`` imports when it is loaded; with ``deep`` also those of its functions."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            continue
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) and not deep:
            continue
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names if alias.name in known)
        if isinstance(child, ast.ImportFrom) and child.module in known:
            names = (f"{child.module}.{alias.name}" for alias in child.names)
            yield from (name if name in known else str(child.module) for name in names)
        yield from imported(child, known, deep=deep)


def circles(graph: dict[str, set[str]]) -> list[set[str]]:
    """The largest sets of modules in which each leads to each."""

    far: dict[str, set[str]] = {name: set() for name in graph}
    for start in graph:
        waiting = [start]
        while waiting:
            for name in graph[waiting.pop()] - far[start]:
                far[start].add(name)
                waiting.append(name)
    within = [name for name in graph if name in far[name]]
    found = {frozenset(other for other in within if other in far[name] and name in far[other]) for name in within}
    return [set(circle) for circle in found]


def test_each_circle_of_imports_has_one_door() -> None:
    files = module_files()
    trees = {name: ast.parse(path.read_text("utf-8")) for name, path in files.items()}
    parent = {name: {name.rpartition(".")[0]} - {""} for name in files}
    graph = {name: set(imported(tree, files, deep=False)) | parent[name] for name, tree in trees.items()}
    users = {name: set(imported(tree, files, deep=True)) | parent[name] for name, tree in trees.items()}
    found = circles(graph)
    assert any("lora_tui.config.schema" in circle for circle in found), "the search itself"
    for circle in found:
        if circle & set(EARLY):
            continue
        doors = {door: name for name in set(files) - circle for door in users[name] & circle}
        assert len(doors) == 1, f"{sorted(circle)} are entered at {doors}"


def test_what_loads_early_is_complete_before_threads_begin() -> None:
    code = "import sys, threading; began = []; threading.Thread.start = lambda self: began.append(self)\n"
    for package, first in EARLY.items():
        own = sorted(name for name in module_files() if name.startswith(package))
        circle = own if package == "lora_tui.text" else [name for name in own if name.endswith("_actions")]
        circle = [name for name in circle if name != "lora_tui.text.catalog"]
        assert circle
        check = (
            f"{code}{first}\nmissing = set({circle!r}) - set(sys.modules)\nassert not missing and not began, missing"
        )
        done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
