"""Where a preparation is written when nobody says: a new folder beside the source, named after it and the size."""

from __future__ import annotations

import itertools
from pathlib import Path

from lora_tui.dataset.prepare.carry import check_places
from lora_tui.dataset.prepare.options import Options
from lora_tui.dataset.prepare.work import is_begun
from lora_tui.errors import UserError

MOST_TRIED = 1000


def suggested(source: Path, options: Options) -> Path:
    """The first of ``source-512``, ``source-512-2`` … that is free, or holds a part of this very preparation."""
    source = source.absolute()
    first = source.with_name(f"{source.name or 'images'}-{options.size}")
    for number in itertools.count(2):
        place = first if number == 2 else first.with_name(f"{first.name}-{number - 1}")
        try:
            check_places(source, place)
            is_begun(place, source, options)
        except UserError:
            if number < MOST_TRIED:
                continue
        return place
    raise AssertionError
