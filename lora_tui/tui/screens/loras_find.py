"""Which LoRA files the list shows and in what order. Part of the list of LoRA files."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from lora_tui.loras.files import LoraFile
from lora_tui.loras.query import LANGUAGE, ORDERS, ordered, parse_filter
from lora_tui.records.query import Test
from lora_tui.text import N_, count, ngettext
from lora_tui.tui.screens.list_find import ListFind


class LorasFind(ListFind):
    """What of all LoRA files is shown."""

    language = LANGUAGE
    sorts = ORDERS
    order_title = N_("Order of the LoRA files")
    hint = N_("Words in names, trigger words and tags, or such as: family:flux rank>=16 tag:hat size>100mb")
    kept_as = "loras-filter"

    def parse(self, text: str) -> Test:
        return parse_filter(text)

    def ordered(self, rows: Iterable[LoraFile]) -> list[LoraFile]:
        return ordered(rows, self.sort)

    def key_of(self, row: LoraFile) -> Path:
        return row.path

    def counted(self, number: int) -> str:
        return ngettext("{count} file", "{count} files", number).format(count=count(number))

    def meant(self) -> list[LoraFile]:
        return self.ordered(super().meant())
