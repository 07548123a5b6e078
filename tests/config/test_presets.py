"""Presets: those that ship, a person's own, and what applying them does."""

import functools
import itertools

import pytest
from config_samples import FEW, config_with, configs, plan_of, squares
from hypothesis import given

from lora_tui.config.family import with_family
from lora_tui.config.plan import plan_run
from lora_tui.config.presets import KINDS, SHIPPED, apply_preset, find_preset, list_presets, load_presets, read_preset
from lora_tui.config.schema import Config
from lora_tui.config.validate import check_config
from lora_tui.errors import UserError
from lora_tui.project import PURPOSES
from lora_tui.text import set_language

SHIPPED_PRESETS = tuple(read_preset(path) for path in sorted(SHIPPED.glob("*.toml")))


@functools.cache
def shipped(name):
    """The preset of this name where a person has none of their own, read once."""
    return find_preset(name)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("LORA_TUI_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.mark.parametrize("preset", SHIPPED_PRESETS, ids=lambda preset: preset.name)
def test_a_shipped_preset_makes_a_configuration_without_contradictions(preset):
    found = check_config(apply_preset(with_family(Config(), preset.family), preset))
    about_places = {"model.missing", "datasets.missing", "samples.none"}
    about_places |= {"model.lora_missing"} if preset.kind == "base" else set()  # it is the user who has the adapter
    assert {finding.code for finding in found} <= about_places


@pytest.mark.parametrize(
    "preset", [one for one in SHIPPED_PRESETS if one.kind == "memory"], ids=lambda preset: preset.name
)
def test_a_run_with_the_preset_for_a_card_is_planned_to_fit_into_it(preset):
    """Of the published model's sizes, with the preset for a style, which has the highest rank."""
    scan = squares(20)
    for purpose in list_presets(family=preset.family, purpose="style"):
        config = apply_preset(apply_preset(with_family(Config(), preset.family), purpose), preset)
        planned = plan_run(config, scan, plan_of(config, scan))
        assert planned.total_steps > 0
        assert planned.memory_total < preset.memory_gb * 1e9


def test_there_is_a_preset_for_every_purpose():
    every = list_presets()
    for family in ("sd15", "sd2", "sdxl", "sd3", "flux", "flux2", "chroma", "zimage", "qwen"):
        for purpose in PURPOSES:
            assert [one for one in every if one.family == family and purpose in one.purposes], (family, purpose)
    fit = [one for one in every if one.family == "flux" and "style" in one.purposes]
    assert list(list_presets(family="flux", purpose="style")) == fit


@FEW
@given(configs())
def test_presets_of_one_kind_replace_each_other_whatever_was_there(config):
    for kind in KINDS:
        own = [preset for preset in SHIPPED_PRESETS if (preset.kind, preset.family) == (kind, config.model.family)]
        for first, last in itertools.pairwise(own):
            both = apply_preset(apply_preset(config, first), last)
            assert both == apply_preset(config, last)


@FEW
@given(configs())
def test_a_purpose_and_a_card_do_not_touch_each_other(config):
    config.model.family = "sd15"
    purpose, card = shipped("style"), shipped("4gb")
    assert apply_preset(apply_preset(config, purpose), card) == apply_preset(apply_preset(config, card), purpose)


@FEW
@given(configs())
def test_only_what_a_preset_names_changes(config):
    config.model.family = "sdxl"
    preset = shipped("sdxl-character")
    before, after = config.model_dump(), apply_preset(config, preset).model_dump()
    for section, table in preset.settings.items():
        for name, value in table.items():
            assert after[section].pop(name) == value
            before[section].pop(name)
    assert before == after


def test_larger_cards_come_later_and_names_work_without_their_family():
    cards = [preset.memory_gb for preset in list_presets(family="sd15") if preset.kind == "memory"]
    assert cards == sorted(cards) and len(cards) >= 4
    assert find_preset("8gb").name == find_preset("sd15-8gb").name == "sd15-8gb"


def test_an_unknown_name_lists_those_that_exist():
    with pytest.raises(UserError) as caught:
        find_preset("charakter")
    assert "sd15-character" in caught.value.remedy


def test_titles_come_in_chinese():
    set_language("zh_CN")
    try:
        for preset in list_presets():
            assert not preset.description.isascii(), preset.name
    finally:
        set_language("en")


def test_a_persons_own_preset_is_offered_and_replaces_a_shipped_one_of_its_name(home):
    folder = home / "config" / "presets"
    folder.mkdir(parents=True)
    text = 'title = "Mine"\ndescription = "x"\nkind = "purpose"\nfamily = "sd15"\n[settings.network]\nrank = 7\n'
    (folder / "mine.toml").write_text(text)
    (folder / "sd15-style.toml").write_text(text)
    assert apply_preset(Config(), find_preset("mine")).network.rank == 7
    assert find_preset("style").own
    assert find_preset("character").own is False


@pytest.mark.parametrize(
    "text",
    [
        "title = ",
        'title = "x"\n',
        'title = "x"\ndescription = "x"\nkind = "other"\nfamily = "sd15"\n',
        'title = "x"\ndescription = "x"\nkind = "purpose"\nfamily = "sd15"\n[settings.network]\nrnk = 1\n',
        'title = "x"\ndescription = "x"\nkind = "purpose"\nfamily = "sd15"\n[settings.network]\nrank = 0\n',
        'title = "x"\ndescription = "x"\nkind = "purpose"\nfamily = "sd15"\n[[settings.samples]]\nprompt = "x"\n',
        'title = "x"\ndescription = "x"\nkind = "purpose"\nfamily = "sd15"\npurposes = "style"\n',
        'title = "x"\ndescription = "x"\nkind = "memory"\nfamily = "sd15"\nmemory_gb = "8"\n',
        'title = "x"\ndescription = "x"\nkind = "purpose"\nfamily = "sd15"\nextra = 1\n',
    ],
)
def test_a_bad_preset_is_named_and_spoils_no_other(home, text):
    folder = home / "config" / "presets"
    folder.mkdir(parents=True)
    (folder / "bad.toml").write_text(text)
    loaded, failed = load_presets()
    assert len(loaded) == len(SHIPPED_PRESETS)
    assert [str(folder / "bad.toml") in error.place for error in failed] == [True]


def test_a_preset_of_another_family_is_refused(tmp_path):
    path = tmp_path / "xl.toml"
    path.write_text('title = "x"\ndescription = "x"\nkind = "purpose"\nfamily = "sdxl"\n')
    with pytest.raises(UserError) as caught:
        apply_preset(config_with(), read_preset(path))
    assert caught.value.code == "preset.family"
