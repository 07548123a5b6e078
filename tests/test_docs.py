"""What the documents promise is there: tests, files, commands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lora_tui.cli.main import COMMANDS

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text("utf-8")):
        assert (document.parent / target).exists(), target


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_commands_exist(document: Path) -> None:
    text = document.read_text("utf-8")
    code = "\n".join(re.findall(r"^```\n(.*?)^```", text, re.MULTILINE | re.DOTALL) + re.findall(r"`([^`\n]+)`", text))
    named = set(re.findall(r"^lora-tui ([a-z]+)(?![-/\w])", code, re.MULTILINE))
    assert named <= set(COMMANDS)


def test_every_feature_has_a_test_that_exists() -> None:
    rows = [line for line in (ROOT / "docs" / "features.md").read_text("utf-8").splitlines() if line.startswith("| ")]
    features = [row for row in rows if not row.startswith("| what")]
    assert len(features) > 50
    for row in features:
        path, _, name = row.rstrip(" |").rpartition("`")[0].rpartition("`")[2].partition("::")
        assert re.search(rf"^(async )?def {name}\(", (ROOT / "tests" / path).read_text("utf-8"), re.MULTILINE), row


def test_every_command_is_named_as_a_feature() -> None:
    text = (ROOT / "docs" / "features.md").read_text("utf-8")
    assert [name for name in COMMANDS if not re.search(rf"`{name}\b", text)] == []


def test_every_room_of_the_house_is_named() -> None:
    table = (ROOT / "docs" / "architecture.md").read_text("utf-8").partition("## Rooms")[2].partition("\n## ")[0]
    heads = re.findall(r"^\| (`[^|]*) \|", table, re.MULTILINE)
    named = set(re.findall(r"`([^`]+)`", " ".join(heads)))
    rooms = {f"{path.name}/" for path in (ROOT / "lora_tui").iterdir() if path.is_dir() and any(path.rglob("*.py"))}
    modules = {path.name for path in (ROOT / "lora_tui").glob("*.py")} - {"__init__.py"}
    assert sorted((rooms | modules | {"assets/"}) - named) == []
    assert [room for room in named if not (ROOT / "lora_tui" / room.replace("NAME", "sdxl")).exists()] == []


def test_files_and_functions_stay_small() -> None:
    import ast

    for path in (ROOT / "lora_tui").rglob("*.py"):
        source = path.read_text("utf-8")
        assert source.count("\n") <= 500 or path.name == "schema.py", f"{path} is too long"  # one description, one file
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                assert length <= 60, f"{path}: {node.name} has {length} lines"
