"""A sweep from a configuration's file and from what the command line varies."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from lora_tui.config.load import SWEEP, load_tables, parse_config, set_values
from lora_tui.config.mistakes import joined
from lora_tui.config.schema import Config
from lora_tui.sweeps.axes import Axes, axes_of
from lora_tui.sweeps.members import Sweep, expand
from lora_tui.text import plain


def read_sweep(
    path: Path,
    vary: Iterable[str] = (),
    *,
    zipped: bool = False,
    values: Iterable[str] = (),
    name: str = "",
) -> Sweep:
    """The sweep that the file ``path`` describes, with what the command line says more.

    Args:
        vary: ``KEY=VALUES``; each replaces what the file varies of its key.
        zipped: ``vary`` goes through its values side by side.
        values: ``KEY=VALUE``, put into the configuration first.
        name: of the sweep, in place of the one that the file has.

    Raises:
        UserError: the file or a value is wrong, nothing varies, or there are too many runs.
    """
    config, table = read_with_table(path)
    config = set_values(config, values)
    place = joined(plain(str(path)), f"[{SWEEP}]") if table is not None else "--vary"
    axes = axes_of(config, table, vary, zipped=zipped, place=place, base=path.parent)
    return expand(config, axes, name)


def load_with_axes(path: Path) -> tuple[Config, Axes | None]:
    """The configuration in ``path``, and what varies by its ``[sweep]``; none where it has no such table.

    Raises:
        UserError: the file is missing or wrong, or its table is.
    """
    config, table = read_with_table(path)
    if table is None:
        return config, None
    return config, axes_of(config, table, place=joined(plain(str(path)), f"[{SWEEP}]"), base=path.parent)


def read_with_table(path: Path) -> tuple[Config, object]:
    """The configuration in ``path`` without its ``[sweep]``, and that table; none where there is none.

    Raises:
        UserError: the file is missing or wrong.
    """
    data = load_tables(path)
    table = data.pop(SWEEP, None)
    return parse_config(data, base=path.parent, place=plain(str(path))), table
