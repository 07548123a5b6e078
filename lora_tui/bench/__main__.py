"""``python -m lora_tui.bench NAME``: run one measurement in this process and print it."""

from __future__ import annotations

import argparse
import errno
import importlib
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lora_tui.bench import BENCHES
from lora_tui.bench.common import Measure, tell
from lora_tui.bench.machine import machine, versions
from lora_tui.bench.page import put
from lora_tui.errors import UserError
from lora_tui.files import write_atomic
from lora_tui.text import plain
from lora_tui.text.translate import _, set_language


def main(argv: Sequence[str]) -> int:
    """Print the figures of the measurement named first in ``argv``; 3 with ``--check`` when a bar is missed."""
    set_language()
    parser = argparse.ArgumentParser(prog="lora-tui bench", allow_abbrev=False)
    commands = parser.add_subparsers(dest="bench", required=True, metavar="NAME")
    module = importlib.import_module(BENCHES[argv[0]][0]) if argv and argv[0] in BENCHES else None
    for name, (_module, text) in BENCHES.items():
        command = commands.add_parser(name, help=_(text), description=_(text), allow_abbrev=False)
        command.add_argument("--json", action="store_true", help=_("one JSON document"))
        command.add_argument("--check", action="store_true", help=_("exit with 3 when a bar is missed"))
        command.add_argument("--write", type=Path, metavar="PAGE", help=_("put the results into this Markdown page"))
        if module is not None and name == argv[0]:
            module.build(command)
    args = parser.parse_args(argv)
    if module is None:
        return 2
    if args.write and not args.write.parent.is_dir():  # known before anything is measured
        print(f"lora-tui: --write {plain(str(args.write))}: {os.strerror(errno.ENOENT)}", file=sys.stderr)
        return 2
    try:
        measures: list[Measure] = []
        for measure in module.measure(args):
            measures.append(measure)
            tell("  ".join(cell for cell in measure.cells() if cell))  # the table comes at the end, which may be late
    except UserError as error:
        print(f"lora-tui: {error}", file=sys.stderr)
        return 2
    result = _result(args.bench, _options(argv[1:]), measures)
    _print(result, measures, as_json=args.json)
    try:
        if args.write:
            page = args.write.read_text("utf-8") if args.write.exists() else ""
            write_atomic(args.write, put(page, result).encode())
    except (OSError, UnicodeDecodeError) as error:
        print(
            f"lora-tui: --write {plain(str(args.write))}: {getattr(error, 'strerror', None) or error}", file=sys.stderr
        )
        return 2
    return 3 if args.check and not all(measure.holds for measure in measures) else 0


def _options(argv: Sequence[str]) -> list[str]:
    """What was asked for, without how it is told."""
    kept, words = [], iter(argv)
    for word in words:
        if word == "--write":
            next(words, None)
        elif word not in ("--json", "--check") and not word.startswith("--write="):
            kept.append(word)
    return kept


def _result(name: str, options: list[str], measures: Sequence[Measure]) -> dict[str, Any]:
    """The figures with what they were measured on, as ``--json`` prints them."""
    return {
        "bench": name,
        "options": options,
        "machine": machine(),
        "versions": versions(),
        "measures": [measure.as_dict() for measure in measures],
        "rows": [measure.cells() for measure in measures],
    }


def _print(result: dict[str, Any], measures: Sequence[Measure], *, as_json: bool) -> None:
    if as_json:
        import json

        print(json.dumps({key: value for key, value in result.items() if key != "rows"}, indent=1))
        return
    rows = result["rows"]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(4)]
    for row, measure in zip(rows, measures, strict=True):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        if measure.detail:
            print(f"    {measure.detail}")
    place = result["machine"]
    print(", ".join([*place["gpus"], place["processor"], _("{n} cores").format(n=place["cores"])]))
    print(", ".join(f"{library} {version}" for library, version in result["versions"].items()))


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_told: sys.exit(128 + signal.SIGTERM))  # models of many gigabytes go, too
    raise SystemExit(main(sys.argv[1:]))
