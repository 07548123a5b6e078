"""What a run was asked to do, in calm words: its adapter, optimizer, schedule, base. Knows no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lora_tui.errors import UserError
from lora_tui.runs.folder import RunFolder
from lora_tui.text.formats import setting_number
from lora_tui.text.plain import plain
from lora_tui.text.translate import _, ngettext
from lora_tui.toml_files import TomlError, read_toml
from lora_tui.weights.kinds import LYCORIS, NAMES, RANKED, SIZED, TURNED, UNRANKED

if TYPE_CHECKING:
    from lora_tui.config.schema import Config

LONGEST = 40
"""Characters of a name from a file that is shown in a line."""


@dataclass(frozen=True)
class RunSettings:
    """The settings that say most, in words that are safe to show.

    Attributes:
        adapter: kind, rank and alpha, as far as the kind has them.
        optimizer, schedule: their names.
        base: how the base model is kept; empty where it is as it is.
        parts: all of these and the rest that matters, in pieces that stay whole, by the line.
    """

    adapter: str
    optimizer: str
    schedule: str
    base: str
    parts: tuple[tuple[str, ...], ...]

    @property
    def lines(self) -> tuple[str, ...]:
        """The parts, each line as one text."""
        return tuple(_(", ").join(line) for line in self.parts)


def run_settings(run: RunFolder) -> RunSettings:
    """What the configuration of ``run`` asks for. Blocks, and imports the schema.

    Raises:
        UserError: its configuration cannot be read.
    """
    from lora_tui.config.load import load_config

    return described(load_config(run.config_path))


def settings_of(run: RunFolder) -> RunSettings | None:
    """The same; none where the configuration cannot be read."""
    try:
        return run_settings(run)
    except UserError:
        return None


def described(config: Config) -> RunSettings:
    """A configuration in words."""
    from lora_tui.config.optimizers import OPTIMIZER_FACTS, OTHER
    from lora_tui.runs.memory_policy import WEIGHTS

    learning, base = config.learning, config.memory.base_weights
    network = config.network.model_dump()
    named = adapter_parts(network)
    adapter = _(", ").join(named)
    other = config.optimizer.type == OTHER
    optimizer = plain(config.optimizer.kind, limit=LONGEST) if other else OPTIMIZER_FACTS[config.optimizer.type].title
    schedule = plain(learning.schedule_class, limit=LONGEST) if learning.schedule == "other" else learning.schedule
    packed = _(WEIGHTS[base]) if base in WEIGHTS else ""
    kept = (packed, *([_("products in 8 bits")] if config.memory.products == "8bit" else [])) if packed else ()
    kept += (_("convolutions channels-last"),) if config.lays_channels_last else ()
    if config.steps.max_steps:
        length = ngettext("{n} step", "{n} steps", config.steps.max_steps).format(n=config.steps.max_steps)
    else:
        length = ngettext("{n} epoch", "{n} epochs", config.steps.epochs).format(n=config.steps.epochs)
    what = (config.model.family, *named, f"{config.data.resolution} px")
    rate = _("lr {rate}").format(rate=setting_number(learning.unet_lr))
    how = (optimizer, rate, schedule, _("batch {size}").format(size=config.steps.batch_size), length)
    return RunSettings(adapter, optimizer, schedule, packed, (what, how, *([kept] if kept else ())))


def adapter_name(network: Mapping[str, object]) -> str:
    """The kind of adapter that the settings of a ``[network]`` ask for: ``LoCon``, ``LoKr + DoRA``."""
    kind = str(network.get("type", "lora"))
    name = _(NAMES[kind]) if kind in NAMES else plain(kind, limit=LONGEST)
    decomposed = network.get("dora") is True and (kind in SIZED or kind not in LYCORIS)
    return f"{name} + DoRA" if decomposed else name


def adapter_parts(network: Mapping[str, object]) -> tuple[str, ...]:
    """Kind, rank and alpha of a complete ``[network]``, as far as the kind has them, each in a few words."""
    kind, name = network["type"], adapter_name(network)
    if not _has_ranks(network):
        return (name,)
    if kind in TURNED:
        return name, _("blocks up to {size}").format(size=network["rank"])
    rank = _("rank {rank}").format(rank=network["rank"])
    if kind in LYCORIS and kind not in RANKED:
        return name, rank
    return name, rank, _("alpha {alpha}").format(alpha=f"{network['alpha']:g}")


def adapter_of(run: RunFolder) -> str:
    """Kind and rank of a run's adapter in a word or two, ``LoCon 16``; ``-`` where its configuration cannot be read.

    Reads the file alone, in a few milliseconds; nothing of the schema is loaded for it.
    """
    try:
        network = read_toml(run.config_path).get("network", {})
    except (OSError, UnicodeDecodeError, TomlError):
        return "-"
    return adapter_words(network) if isinstance(network, Mapping) else "-"


def adapter_words(network: Mapping[str, object]) -> str:
    """The same of the settings of a ``[network]``, as far as they are known."""
    rank = network.get("rank")
    ranked = _has_ranks(network) and isinstance(rank, int)
    return f"{adapter_name(network)} {rank}" if ranked else adapter_name(network)


def _has_ranks(network: Mapping[str, object]) -> bool:
    kind = network.get("type", "lora")
    return kind not in UNRANKED and not (kind == "lokr" and network.get("full_matrix") is True)
