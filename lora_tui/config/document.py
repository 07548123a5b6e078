"""The documentation of all settings, drawn from the schema: ``python -m lora_tui.config.document``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from lora_tui.config.fields import FieldSpec, SectionSpec, field_for, range_text, sections
from lora_tui.config.presets import KINDS, SHIPPED, Preset, read_preset
from lora_tui.config.schema import SCHEMA_VERSION
from lora_tui.families import facts_for
from lora_tui.files import write_atomic
from lora_tui.text import language, set_language, setting_number

DEFAULT_PATH = Path("docs") / "parameters.md"

_INTRODUCTION = f"""# Parameters

Every setting of a training run. The form (F4), `lora-tui config check`, `--set section.name=value` and the
comments in a saved file are drawn from the same description as this page, which
`python -m lora_tui.config.document` writes.

A configuration is a TOML file with one table for each group below. What is left out has its default; a key that
is not listed here is an error. Places (files and folders) may be relative to the file's folder; those behind `--set`
are relative to the folder that the command is given in. Folders of images
are `[[datasets]]`, prompts of sample images are `[[samples]]`, as many of each as you like.
`schema_version = {SCHEMA_VERSION}` names the format.

A list behind `--set` and in the form is its entries with commas between them, with or without brackets:
`--set data.more_resolutions=128,512`, `--set 'data.more_resolutions=[128, 512]'`. An entry that holds a comma stands in
double quotes, except numbers for blocks and arguments: `--set 'network.layers=blocks rank=8,8,4, OUT03 rate=0.5'`.

Settings marked *expert* are hidden in the simple view of the form. "Elsewhere" gives the names of the same setting
in other programs; the form's search finds them.
"""

#: A configuration as a person would write it by hand; everything else keeps its default.
EXAMPLE = """[model]
base = "../models/v1-5-pruned-emaonly.safetensors"

[[datasets]]
path = "../images/10_hat"

[captions]
shuffle = true
keep_tokens = 1

[network]
rank = 32
alpha = 32.0

[steps]
epochs = 10
batch_size = 2

[[samples]]
prompt = "hatgirl, 1girl, smile, outdoors"
negative = "lowres, bad hands"

[saving]
name = "hat-girl"
trigger = "hatgirl"
"""


def document_text() -> str:
    """The page as Markdown, in English whatever the language in use."""
    before = language()
    set_language("en")
    try:
        parts = [_INTRODUCTION]
        parts += ["\n".join(_section(section)) for section in sections()]
        parts.append("\n".join(_presets()))
        parts.append(f"## A small configuration\n\n```toml\n{EXAMPLE}```\n")
        return "\n".join(parts)
    finally:
        set_language(before)


def main(arguments: list[str]) -> int:
    """Write the page to ``docs/parameters.md`` of the current folder, or to another file; or only compare."""
    parser = argparse.ArgumentParser(prog="python -m lora_tui.config.document", description=main.__doc__)
    parser.add_argument("--output", type=Path, default=DEFAULT_PATH, metavar="FILE", help="default: %(default)s")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when the page is out of date")
    wanted = parser.parse_args(arguments)
    text = document_text().encode()
    if wanted.check:
        return int(not wanted.output.is_file() or wanted.output.read_bytes() != text)
    write_atomic(wanted.output, text)
    return 0


def _section(section: SectionSpec) -> Iterator[str]:
    title = section.title
    table = f"[[{section.name}]]" if section.repeated else f"[{section.name}]"
    yield f"## {title} `{table}`\n"
    yield "| setting | default | allowed | what it does |"
    yield "|---|---|---|---|"
    for spec in section.fields:
        yield _row(spec)
    yield ""


def _row(spec: FieldSpec) -> str:
    unit = f" {spec.option.unit}" if spec.option.unit else ""
    cells = [
        f"`{spec.name}`<br>{_cell(spec.option.title)}",
        f"{_value(spec.default)}{unit if spec.kind != 'text' else ''}",
    ]
    return "| " + " | ".join([*cells, _allowed(spec), _words(spec)]) + " |"


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "`true`" if value else "`false`"
    if isinstance(value, str):
        return f"`{_cell(value)}`" if value else "empty"
    if isinstance(value, list):
        return "`" + ", ".join(str(item) for item in value) + "`"
    return f"`{setting_number(value)}`"


def _allowed(spec: FieldSpec) -> str:
    if spec.kind == "choice":
        labels = dict(spec.option.labels)
        return ", ".join(f"`{choice}`" + _label(labels.get(str(choice), ""), choice) for choice in spec.choices)
    if spec.kind == "bool":
        return "`true`, `false`"
    if spec.option.path:
        words = {"model": "file, folder or hub name", "folder": "folder", "file": "file"}[spec.option.path]
        return "list of files, each with its strength" if spec.kind == "list" else words
    words = {"int": "whole number", "float": "number", "text": "text", "list": "list of texts"}[spec.kind]
    return ", ".join(part for part in (words, range_text(spec)) if part)


def _label(label: str, choice: object) -> str:
    return f" ({_cell(label)})" if label and label != str(choice) else ""


def _words(spec: FieldSpec) -> str:
    option = spec.option
    parts = [_cell(option.help)]
    if option.when is not None:
        parts.append(f"Counts when {_cell(option.when.text)}.")
    if option.families:
        parts.append("Only for " + ", ".join(facts_for(family).title for family in option.families) + ".")
    if option.expert:
        parts.append("*expert*")
    if option.peers:
        parts.append("Elsewhere: " + ", ".join(f"`{peer}`" for peer in option.peers))
    return " ".join(parts)


def _presets() -> Iterator[str]:
    yield "## Presets\n"
    yield "`lora-tui config new --preset character --preset 8gb` applies them in order; `p` in the form does the same."
    yield "Your own are TOML files of the same kind in the `presets` folder beside the settings file."
    yield "Every preset of a kind sets the same settings, so that the last one applied holds; those that it leaves at"
    yield "their default are not listed.\n"
    yield "| preset | what it is for | what it changes |"
    yield "|---|---|---|"
    presets = [read_preset(path) for path in SHIPPED.glob("*.toml")]
    for preset in sorted(presets, key=lambda preset: (KINDS.index(preset.kind), preset.memory_gb, preset.name)):
        yield _preset_row(preset)
    yield ""


def _preset_row(preset: Preset) -> str:
    changed = {key: value for key, value in preset.values.items() if value != _default(key)}
    values = ", ".join(f"{key} {_value(value)}" for key, value in changed.items()) or "nothing"
    return f"| `{preset.name}` | {_cell(preset.title)}. {_cell(preset.description)} | {values} |"


def _default(key: str) -> object:
    spec = field_for(key)
    return None if spec is None else spec.default


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
