"""What varies in a sweep, as it is written and as it is wrong."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_tui.config.load import parse_config
from lora_tui.config.schema import Config
from lora_tui.errors import UserError
from lora_tui.sweeps.axes import Axis, axes_of, float_text, read_values, values_text
from lora_tui.sweeps.members import expand
from lora_tui.sweeps.reading import read_sweep


@pytest.mark.parametrize(
    ("key", "text", "values"),
    [
        ("network.rank", "8, 16,32", (8, 16, 32)),
        ("network.rank", "8-11", (8, 9, 10, 11)),
        ("network.rank", "8-32 (+8)", (8, 16, 24, 32)),
        ("network.rank", "32-8 (-8), 4", (32, 24, 16, 8, 4)),
        ("network.rank", "4-128 [6 log]", (4, 8, 16, 32, 64, 128)),
        ("learning.unet_lr", "1e-4,2e-4", (1e-4, 2e-4)),
        ("learning.unet_lr", "1e-4-4e-4 (1e-4)", (1e-4, 2e-4, 3e-4, 4e-4)),
        ("learning.unet_lr", "1e-5-1e-3 [3 log]", (1e-5, 1e-4, 1e-3)),
        ("network.dropout", "0-0.3 [4]", (0.0, 0.1, 0.2, 0.3)),
        ("network.dora", "on, off", (True, False)),
        ("optimizer.type", "adamw,prodigy", ("adamw", "prodigy")),
        ("samples.0.prompt", '"a cat, sitting", a dog', ("a cat, sitting", "a dog")),
        ("network.layers", "blocks rank=8,4; OUT03 rate=0.5, IN04 rank=2", None),
    ],
)
def test_values_as_a_person_types_them(key: str, text: str, values: tuple[object, ...] | None) -> None:
    found = read_values(key, text)
    assert found == (values or (["blocks rank=8,4"], ["OUT03 rate=0.5", "IN04 rank=2"]))
    assert read_values(key, values_text(Axis(key, found))) == found


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_in_few_characters_is_the_same_number(value: float) -> None:
    assert float(float_text(value)) == value
    assert len(float_text(value)) <= len(repr(value))


def test_a_file_says_what_varies_alone_or_together(tmp_path: Path) -> None:
    path = tmp_path / "hat.toml"
    path.write_text(
        '[model]\nbase = "owner/model"\n[saving]\nname = "hat"\n[[datasets]]\npath = "images"\n'
        '[sweep]\nname = "ranks"\n"network.rank" = [8, "16-32 (+16)"]\nnetwork.alpha = "4, 8, 16"\n'
        '"datasets.0.path" = ["a", "b"]\ntogether = ["network.rank", "network.alpha"]\n'
    )
    sweep = read_sweep(path)
    assert sweep.name == "ranks"
    assert sweep.keys == ("network.rank", "network.alpha", "datasets.0.path")
    assert [tuple(one.values.values())[:2] for one in sweep.members[::2]] == [(8, 4.0), (16, 8.0), (32, 16.0)]
    assert sweep.members[1].config.datasets[0].path == str(tmp_path / "b")  # from where the file lies
    assert [one.name for one in sweep.members[:2]] == ["hat-rank8-alpha4-path-1-a", "hat-rank8-alpha4-path-1-b"]
    more = read_sweep(path, ["network.rank=1,2,3", "steps.seed=1,2"], values=["saving.name=cap"], name="other")
    assert len(more.members) == 12 and more.name == "other"  # the line replaces what the file varies, and adds
    assert more.members[0].name == "cap-rank1-alpha4-path-1-a-seed1"


def test_one_run_is_not_made_of_a_file_that_describes_several() -> None:
    with pytest.raises(UserError) as error:
        parse_config({"sweep": {"network.rank": [8]}}, place="hat.toml")
    assert error.value.code == "config.sweep" and "lora-tui sweep" in error.value.remedy


WRONG: list[tuple[object, list[str], str]] = [
    (None, ["network.rnk=8"], "Did you mean network.rank?"),
    (None, ["network.rank=8,x"], '"x" is not allowed; rank must be a whole number'),
    (None, ["network.rank=8,900"], "900 is not allowed; rank must be a whole number, from 1 to 320"),
    (None, ["network.rank="], "There is no value to vary."),
    (None, ["network.rank"], "is no KEY=VALUES"),
    (None, ["network.rank=8", "network.rank=9"], "is there twice"),
    (None, ["network.rank=1-900000000000"], "values are too many for one setting"),
    (None, ["network.rank=8-32 (-8)"], "is no range"),
    (None, ["learning.unet_lr=0-1 [5 log]"], "is no range"),
    (None, ["learning.unet_lr=1e308-9e308 [3]"], "is no range"),
    (None, ["samples.prompt=a"], "say which entry"),
    (None, ["saving.name=a,b"], "The names of the runs are made from what differs."),
    (None, [], "Nothing varies."),
    ({}, [], "Nothing varies."),
    ([1], [], "What varies stands in a table [sweep]."),
    ({"network.rank": []}, [], "There is no value to vary."),
    ({"network.rank": [True]}, [], "true is not allowed"),
    ({"network.rank": [8.5]}, [], "8.5 is not allowed"),
    ({"network.rank": {"x": 1}}, [], "rank.x"),
    ({"network.rank": [8], "together": [["network.rank", "network.alpha"]]}, [], "network.alpha does not vary"),
    ({"network.rank": [8, 9], "network.alpha": [1], "together": ["network.rank", "network.alpha"]}, [], "rank: 2"),
    ({"network.rank": [8], "together": 3}, [], "is no list of settings that vary together"),
    ({"network.rank": [8], "name": 3}, [], "The name must be a text."),
]


@pytest.mark.parametrize(("table", "texts", "told"), WRONG)
def test_what_is_wrong_is_told_with_its_place(table: object, texts: list[str], told: str) -> None:
    with pytest.raises(UserError) as error:
        axes_of(Config(), table, texts)
    assert told in str(error.value)


def test_all_that_is_wrong_is_told_at_once_and_a_long_list_in_short() -> None:
    table = {"network.rank": ["x", *range(400, 480)], "network.alpha": "8", "nothing": 1}
    with pytest.raises(UserError) as error:
        axes_of(Config(), table, ["steps.epochs=0"], place="hat.toml: [sweep]")
    told = str(error.value)
    assert 'hat.toml: [sweep]: "network.rank": "x"' in told and "78 more values are wrong" in told
    assert "steps.epochs" in told and "nothing is no known setting" in told


def test_a_million_combinations_are_refused_before_one_is_made() -> None:
    with pytest.raises(UserError, match=r"100 x 100 x 100 = 1,000,000 runs are too many; 500 are the most"):
        expand(
            Config(),
            axes_of(Config(), None, [f"{key}=1-100" for key in ("network.rank", "steps.seed", "steps.epochs")]),
        )
