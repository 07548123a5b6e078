"""What compiling the blocks of the base model asks for."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

from lora_tui.config.estimate import storage_of
from lora_tui.config.findings import Finding, note, warning
from lora_tui.config.schema import Config, NetworkSection
from lora_tui.text import _

COMPILERS = ("g++", "c++", "clang++")


def uncompiled(config: Config) -> str:
    """Why blocks will not be compiled with these settings; empty where they will be."""
    network = config.network
    changing = changes_each_step(network)
    if changing:
        return changing
    if network.dropout > 0 or network.rank_dropout > 0:
        return _("compiled blocks may draw the numbers of network.dropout and network.rank_dropout in another order.")
    return ""


def changes_each_step(network: NetworkSection) -> str:
    """Why a step does other things than the one before; empty where it does not."""
    if network.type == "dylora":
        return _("DyLoRA learns with other ranks in each step.")
    if network.module_dropout > 0:
        return _("network.module_dropout leaves out other layers in each step.")
    return ""


def compiling(config: Config) -> Iterator[Finding]:
    """That it takes its time, and where nothing of it would be had."""
    memory = config.memory
    if not memory.compile:
        return
    reason = uncompiled(config)
    if reason:
        yield warning(
            "memory.compile",
            _("Blocks will not be compiled: {reason}").format(reason=reason),
            _("Set memory.compile to false."),
            "memory.compile_network",
        )
        return
    if memory.device == "cpu" and not any(map(shutil.which, COMPILERS)):
        yield warning(
            "memory.compile",
            _("There is no C++ compiler: blocks will not be compiled on the processor."),
            _("Install g++, or set memory.compile to false."),
            "memory.compile_compiler",
        )
    if storage_of(memory).streamed:
        yield warning(
            "memory.compile",
            _("Streamed blocks are not compiled."),
            _("Set memory.streamed_blocks to 0, or memory.compile to false."),
            "memory.compile_streamed",
        )
    yield note(
        "memory.compile",
        _("Blocks are compiled before the first step, which takes minutes unless it is kept from an earlier run."),
        "",
        "advice.compile",
    )


RULES = (compiling,)
