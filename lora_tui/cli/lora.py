"""``lora``: what LoRA files hold, and what can be made of them. Each command stands in a module of its own."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from lora_tui.cli.main import Parser


class FreeParser(Parser):
    """Takes options before, between and after the names of files, for each of the commands alike."""

    _within = False

    def parse_known_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]
        """As argparse; what follows ``--`` is a name of a file, although it begins with a minus."""
        if self._within:
            return argparse.ArgumentParser.parse_known_args(self, args, namespace)
        words = list(args or ())
        at = words.index("--") if "--" in words else len(words)
        names = [f"./{word}" if word.startswith("-") else word for word in words[at + 1 :]]
        self._within = True
        try:
            known, unknown = self.parse_known_intermixed_args([*words[:at], *names], namespace)
        finally:
            self._within = False
        self.refuse(unknown)
        return known, unknown


def build(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    commands = parser.add_subparsers(dest="action", required=True, metavar="COMMAND", parser_class=FreeParser)
    for module in _modules():
        module.build(commands)


def run(args: argparse.Namespace) -> int:
    """Do what was asked for."""
    module = next(module for module in _modules() if args.action in module.ACTIONS)
    return int(module.run(args))


def _modules() -> tuple[ModuleType, ...]:
    """The commands: modules with ``ACTIONS``, ``build(commands)`` and ``run(args)`` that load nothing heavy."""
    from lora_tui.cli import (
        lora_bake,
        lora_blocks,
        lora_check,
        lora_compare,
        lora_convert,
        lora_extract,
        lora_info,
        lora_merge,
        lora_metadata,
        lora_resize,
        lora_split,
    )

    return (
        lora_info,
        lora_check,
        lora_metadata,
        lora_convert,
        lora_merge,
        lora_resize,
        lora_split,
        lora_bake,
        lora_extract,
        lora_blocks,
        lora_compare,
    )
