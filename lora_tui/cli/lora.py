"""``lora``: what LoRA files hold, and what can be made of them. Each command stands in a module of its own."""

from __future__ import annotations

import argparse
from types import ModuleType


def build(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    commands = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
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
