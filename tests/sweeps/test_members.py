"""The runs of a sweep and their names."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lora_tui.config.load import load_config, set_values
from lora_tui.config.schema import Config
from lora_tui.runs.folder import folder_name
from lora_tui.sweeps.axes import axes_of
from lora_tui.sweeps.folder import create
from lora_tui.sweeps.members import LONGEST_NAME, Sweep, expand


def sweep_of(*texts: str, base: str = "mimbu", zipped: bool = False) -> Sweep:
    config = set_values(Config(), [f"saving.name={base}"])
    return expand(config, axes_of(config, None, texts, zipped=zipped))


@pytest.mark.parametrize(
    ("texts", "names"),
    [
        (["network.rank=8,16", "learning.unet_lr=1e-4"], ["mimbu-rank8", "mimbu-rank16"]),  # only what differs
        (["network.rank=8", "learning.unet_lr=1e-4,0.00025"], ["mimbu-lr1e-4", "mimbu-lr2.5e-4"]),
        (["optimizer.type=adamw,prodigy"], ["mimbu-adamw", "mimbu-prodigy"]),
        (["learning.schedule=cosine,linear"], ["mimbu-cosine", "mimbu-schedule-linear"]),
        (["data.flip=on,off"], ["mimbu-flip-on", "mimbu-flip-off"]),
        (["steps.seed=1,2", "samples.0.seed=5"], ["mimbu-seed1", "mimbu-seed2"]),
        (["model.base=/a/one.safetensors,/b/two.safetensors"], ["mimbu-base-one", "mimbu-base-two"]),
        (["model.base=/a/one.safetensors,/b/one.safetensors"], ["mimbu-base1", "mimbu-base2"]),
        (["captions.prefix=a very long beginning of captions,x"], ["mimbu-prefix1", "mimbu-prefix2"]),
    ],
)
def test_runs_are_named_by_what_differs(texts: list[str], names: list[str]) -> None:
    sweep = sweep_of(*texts)
    assert [one.name for one in sweep.members] == names
    assert [one.config.saving.name for one in sweep.members] == names


def test_settings_of_one_name_are_told_apart() -> None:
    names = [one.name for one in sweep_of("data.flip=on,off", "datasets.0.flip=on,off").members]
    assert names[0] == "mimbu-flip-on-flip-1-on"
    names = [one.name for one in sweep_of("model.base=a/one,a/two", "memory.base_weights=full,fp8").members]
    assert names[0] == "mimbu-model-base-one-full"


def test_every_combination_is_there_and_the_last_setting_varies_fastest() -> None:
    sweep = sweep_of("network.rank=8,16", "steps.seed=1,2,3")
    assert [(one.config.network.rank, one.config.steps.seed) for one in sweep.members] == [
        (rank, seed) for rank in (8, 16) for seed in (1, 2, 3)
    ]
    together = sweep_of("network.rank=8,16", "steps.seed=1,2", zipped=True)
    assert [(one.config.network.rank, one.config.steps.seed) for one in together.members] == [(8, 1), (16, 2)]


def test_runs_that_are_alike_are_there_once() -> None:
    sweep = sweep_of("network.rank=8,16,8")
    assert [one.name for one in sweep.members] == ["mimbu-rank8", "mimbu-rank16"]
    assert sweep.alike == (("mimbu-rank8", {"network.rank": 8}),)


@settings(max_examples=40)
@given(
    st.text(st.characters(codec="utf-8"), max_size=90),
    st.lists(st.text(st.characters(codec="utf-8", exclude_characters='",;'), min_size=1), min_size=1, max_size=4),
)
def test_names_are_short_and_none_is_another_as_a_folder(base: str, words: list[str]) -> None:
    config = Config.model_validate({"saving": {"name": base}})
    sweep = expand(config, axes_of(config, {"captions.prefix": words, "steps.seed": [1, 2]}))
    names = [one.name for one in sweep.members]
    assert len({folder_name(name).casefold() for name in names}) == len(names)
    assert all(len(name.encode("utf-8", "replace")) <= LONGEST_NAME for name in names)


def test_a_sweep_on_disk_has_a_complete_configuration_of_each_run(tmp_path: Path) -> None:
    sweep = sweep_of("network.rank=8,16", base="../../mim bu")
    made = create(sweep, tmp_path / "project" / "runs")
    assert made.root.parent == tmp_path / "project" / "sweeps"
    assert [load_config(one.config) for one in made.members] == [one.config for one in sweep.members]
    assert all(one.config.parent == made.root / "configs" for one in made.members)
    assert [dict(one.values) for one in made.members] == [{"network.rank": 8}, {"network.rank": 16}]
    assert len(list((tmp_path / "project" / "sweeps").iterdir())) == 1  # nothing half made beside it
