"""Configurations, images and data plans for tests: any valid configuration, and small known ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

from lora_tui.config.fields import FieldSpec, sections
from lora_tui.config.schema import Config
from lora_tui.config.validate import check_config
from lora_tui.dataset.batches import DataPlan, make_plan
from lora_tui.dataset.facts import ImageFacts
from lora_tui.dataset.scan import DatasetImage, Scan

TEXT = st.text(st.characters(codec="utf-8"), max_size=30)
SOME = settings(max_examples=30)
"""How many configurations a law is tried on: each is two hundred drawn values, so that all are drawn thirty times."""
FEW = settings(max_examples=15)
"""For laws that walk through all settings of each configuration, or hold for each setting by itself."""
ANY_PLACE = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30)


def values_of(spec: FieldSpec) -> st.SearchStrategy[Any]:
    """Every value that the setting allows."""
    if spec.kind == "bool":
        return st.booleans()
    if spec.kind == "choice":
        return st.sampled_from(spec.choices)
    if spec.kind == "int":
        return st.integers(int(spec.ge or 0), 10**9 if spec.le is None else int(spec.le))
    if spec.kind == "float":
        low = spec.gt if spec.gt is not None else spec.ge
        return st.floats(low, spec.le, exclude_min=spec.gt is not None, allow_nan=False)
    return st.lists(TEXT, max_size=3) if spec.kind == "list" else TEXT


@st.composite
def configs(draw: st.DrawFn, places: st.SearchStrategy[str] = ANY_PLACE) -> Config:
    """Any valid configuration; texts that name a file or folder come from ``places``."""
    data: dict[str, Any] = {}
    for section in sections():
        tables = {spec.name: _places(spec, places) if spec.option.path else values_of(spec) for spec in section.fields}
        table = st.fixed_dictionaries(tables)
        data[section.name] = draw(st.lists(table, max_size=2) if section.repeated else table)
    return Config.model_validate(data, strict=True)


def _places(spec: FieldSpec, places: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    return st.lists(places, max_size=2) if spec.kind == "list" else places


def image(number: int, *, width: int = 512, height: int = 512, repeats: int = 1, caption: bool = True) -> DatasetImage:
    """An image as a scan reports it; there is no file behind it."""
    path = Path(f"/data/{number:04d}.png")
    facts = ImageFacts(width, height, "PNG", False, False, 1, 1000 + number, number)
    return DatasetImage(path, path.name, 0, repeats, facts, path.with_suffix(".txt") if caption else None)


def scan_of(*images: DatasetImage) -> Scan:
    return Scan(tuple(images))


def squares(count: int, repeats: int = 1) -> Scan:
    """A scan of ``count`` square images."""
    return Scan(tuple(image(number, repeats=repeats) for number in range(count)))


def plan_of(config: Config, scan: Scan) -> DataPlan:
    """The batches, every image taken as unlike the others."""
    return make_plan(config, scan, groups={})


def config_with(**sections_: dict[str, Any]) -> Config:
    """Defaults but for these: ``config_with(steps={"epochs": 3})``."""
    return Config.model_validate(sections_, strict=True)


def codes(config: Config, **given_: Any) -> set[str]:
    """The codes of all that a check finds."""
    return {finding.code for finding in check_config(config, **given_)}
