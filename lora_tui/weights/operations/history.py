"""What a file that is made says of itself: all that its sources said, and what was done to them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from lora_tui import __version__
from lora_tui.weights.delta import Adapter
from lora_tui.weights.operations.layers import Copied, Made, Thin

HISTORY = "lora_tui_history"
"""A JSON list: what was done, the oldest first."""
SOURCES = "lora_tui_sources"
"""A JSON object: what each source said of itself where they differ, by its name."""
COMMENT, DIM, ALPHA, MODULE = "ss_training_comment", "ss_network_dim", "ss_network_alpha", "ss_network_module"
TAGS = "ss_tag_frequency"
MERGED_FROM = "modelspec.merged_from"
_STALE = ("lora_adapter_metadata", "sshs_model_hash", "sshs_legacy_hash", "modelspec.hash_sha256")
"""Entries that told of the source's tensors: peft's settings of ranks and alphas, and hashes."""
_LARGEST = 1 << 20
"""Bytes of what sources said that are kept apart."""
_LONG = 4096
"""Characters of one entry of these: pictures are not repeated."""


def joined(sources: Sequence[Adapter]) -> dict[str, str]:
    """The metadata of files that become one: what all say alike, the tags of all, and the rest by source.

    Of a single one it is its own.
    """
    first = dict(sources[0].metadata)
    if len(sources) == 1:
        return {key: value for key, value in first.items() if key not in _STALE}
    common = {
        key: value
        for key, value in first.items()
        if key not in _STALE and all(one.metadata.get(key) == value for one in sources[1:])
    }
    differing = {
        _own_name(number, one, sources): {
            key: value
            for key, value in one.metadata.items()
            if key not in common and len(value) <= _LONG and key not in (TAGS, HISTORY, SOURCES)
        }
        for number, one in enumerate(sources)
    }
    told = json.dumps(differing, ensure_ascii=False)
    if len(told) <= _LARGEST:
        common[SOURCES] = told
    if tags := _tags(sources):
        common[TAGS] = tags
    common[MERGED_FROM] = ", ".join(one.path.stem.replace(",", " ") for one in sources)
    for key in ("ss_base_model_version", "modelspec.architecture", "modelspec.sai_model_spec"):
        if key in first:
            common[key] = first[key]
    return common


def _own_name(number: int, one: Adapter, sources: Sequence[Adapter]) -> str:
    names = [other.path.name for other in sources]
    return one.path.name if names.count(one.path.name) == 1 else f"{one.path.name} ({number + 1})"


def _tags(sources: Sequence[Adapter]) -> str:
    """The tags of all datasets, added up where two have the same name."""
    whole: dict[str, dict[str, int]] = {}
    for one in sources:
        try:
            told = json.loads(one.metadata.get(TAGS, "{}"))
            for folder, tags in told.items():
                own = whole.setdefault(str(folder), {})
                for tag, count in tags.items():
                    own[str(tag)] = own.get(str(tag), 0) + int(count)
        except (ValueError, TypeError, AttributeError, RecursionError, OverflowError):
            continue
    return json.dumps(whole, ensure_ascii=False) if whole else ""


def with_ranks(metadata: Mapping[str, str], layers: Mapping[str, Made], alphas: Sequence[float]) -> dict[str, str]:
    """``metadata`` with the layers' rank and alpha; ``Dynamic`` where they differ, as sd-scripts has it."""
    found = dict(metadata)
    ranks = {one.rank for one in layers.values() if isinstance(one, Thin)}
    if not ranks:
        return found
    found[DIM] = str(ranks.pop()) if len(ranks) == 1 else "Dynamic"
    own = {round(alpha, 6) for alpha in alphas}
    found[ALPHA] = f"{own.pop():g}" if len(own) == 1 else "Dynamic"
    if not any(isinstance(one, Copied) for one in layers.values()) and "lycoris" in found.get(MODULE, ""):
        found[MODULE] = "networks.lora"
        found.pop("ss_network_args", None)
    return found


def noted(metadata: Mapping[str, str], entry: Mapping[str, Any], words: str) -> dict[str, str]:
    """``metadata`` with what was done: as an ``entry`` of the history, and in ``words`` before the comment."""
    found = dict(metadata)
    before = found.get(COMMENT, "")
    found[COMMENT] = words if before in ("", "None") else f"{words}; {before}"
    now = datetime.now(UTC).replace(microsecond=0)
    history = [*_history(metadata), {"by": f"lora-tui {__version__}", "at": now.isoformat(), **entry}]
    found[HISTORY] = json.dumps(history, ensure_ascii=False)
    if "modelspec.date" in found:
        found["modelspec.date"] = now.isoformat()
    return found


def extended(metadata: Mapping[str, str], measured: Mapping[str, Any]) -> dict[str, str]:
    """The history whose last entry says what was measured, to be written when all is known."""
    history = _history(metadata)
    history[-1] |= {"measured": dict(measured)}
    return {HISTORY: json.dumps(history, ensure_ascii=False)}


def _history(metadata: Mapping[str, str]) -> list[dict[str, Any]]:
    try:
        found = json.loads(metadata.get(HISTORY, "[]"))
    except (ValueError, RecursionError):
        return []
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def finite(value: float) -> float | None:
    """A number that JSON can hold."""
    return value if math.isfinite(value) else None
