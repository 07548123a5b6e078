"""Which runs the list shows and in what order. Part of the list of runs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from lora_tui.records.order import ordered
from lora_tui.records.query import RUNS, Test, parse
from lora_tui.records.rows import Row
from lora_tui.runs.status import STATES
from lora_tui.text import N_, count, ngettext
from lora_tui.tui.screens.list_find import ListFind

SORTS: tuple[tuple[str, str], ...] = (
    ("", N_("when it began, the newest first")),
    ("loss", N_("loss")),
    ("validation", N_("lowest validation loss")),
    ("-rating", N_("rating, the best first")),
    ("name", N_("name")),
    ("state", N_("state")),
    ("-step", N_("steps, the most first")),
    ("-took", N_("time it took, the longest first")),
    ("adapter", N_("adapter")),
    ("-rank", N_("rank, the highest first")),
    ("lr", N_("learning rate")),
    ("family", N_("model family")),
)


class RunsFind(ListFind):
    """What of all runs is shown."""

    language = RUNS
    sorts = SORTS
    order_title = N_("Order of the runs")
    hint = N_("Words in names, notes and tags, or such as: family:flux lr<1e-4 tag:good rating>=4")
    kept_as = "runs-filter"

    def parse(self, text: str) -> Test:
        return parse(text)

    def ordered(self, rows: Iterable[Row]) -> list[Row]:
        return ordered(rows, self.sort)

    def key_of(self, row: Row) -> Path:
        return row.run.root

    def counted(self, number: int) -> str:
        return ngettext("{count} run", "{count} runs", number).format(count=count(number))

    def values(self, field: str) -> list[str]:
        return list(STATES) if field == "state" else super().values(field)
