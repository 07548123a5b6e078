"""Options that make no sense are refused with their name; the rest survives JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lora_tui.dataset.prepare.options import FAMILY_SIZES, Options, checked, colour, options_from
from lora_tui.errors import UserError


@pytest.mark.parametrize(
    ("place", "values"),
    [
        ("size", {"size": 0}),
        ("size", {"size": 10**9}),
        ("shape", {"shape": "round"}),
        ("fit", {"fit": "stretch"}),
        ("at", {"at": "edge"}),
        ("small", {"small": "grow"}),
        ("format", {"format": "bmp"}),
        ("folders", {"folders": "deep"}),
        ("step", {"step": 0}),
        ("quality", {"quality": 0}),
        ("split", {"split": 1.0}),
        ("split", {"split": float("nan")}),
        ("overlap", {"overlap": 0.95}),
        ("overlap", {"overlap": float("nan")}),
        ("repeats", {"repeats": -1}),
        ("bucket_min", {"bucket_min": 2000}),
        ("background", {"background": "mauve"}),
        ("background", {"background": "#12345"}),
        ("pad", {"pad": "mirror"}),
        ("label", {"label": "../x"}),
        ("label", {"label": ".hidden"}),
        ("name", {"name": ""}),
        ("name", {"name": "x"}),
        ("name", {"name": "{stem"}),
        ("name", {"name": "a/{stem}"}),
        ("name", {"name": "{stem.__class__}"}),
        ("name", {"name": "{stem!r}"}),
        ("name", {"name": "{0}"}),
        ("name", {"name": "{number:{width}}"}),
        ("name", {"name": "{number:099999999}"}),
        ("name", {"name": "{stem:>2000000000}"}),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(place: str, values: dict[str, Any]) -> None:
    with pytest.raises(UserError) as raised:
        checked(Options(**values))
    assert (raised.value.place, raised.value.code) == (place, "prepare.option")


def test_options_survive_json() -> None:
    options = Options(size=768, shape="bucket", split=2.0, background="#abc", name="{number:05}_{stem}", flips=True)
    assert options_from(json.loads(json.dumps(options.as_dict()))) == options
    assert options_from({"split": 3}) == Options(split=3.0)


@pytest.mark.parametrize("data", [{"sise": 512}, {"size": "512"}, {"size": True}, {"flips": 1}, {"name": None}])
def test_unknown_names_and_other_types_are_refused(data: dict[str, Any]) -> None:
    with pytest.raises(UserError) as raised:
        options_from(data)
    assert raised.value.place == next(iter(data))


def test_colours_and_families() -> None:
    assert colour("#fa0") == colour("#ffaa00") == (255, 170, 0)
    assert colour("black") == (0, 0, 0)
    assert (FAMILY_SIZES["sd15"], FAMILY_SIZES["sdxl"], FAMILY_SIZES["flux"]) == (512, 1024, 1024)
