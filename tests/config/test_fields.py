"""The flat list of settings that every face is drawn from."""

import pytest
from config_samples import SOME, config_with, configs
from hypothesis import given

from lora_tui.config.fields import allowed_text, applies, field_for, fields, range_text, sections, value_of
from lora_tui.config.schema import Config
from lora_tui.families import facts_for


def test_every_setting_has_a_title_and_help_and_fits_its_own_description():
    for spec in fields():
        assert spec.option.title and spec.option.help, spec.key
        assert allowed_text(spec), spec.key
        if spec.kind == "choice":
            assert spec.default in spec.choices, spec.key
            assert {value for value, _label in spec.option.labels} <= {str(choice) for choice in spec.choices}


def test_keys_are_unique_and_found_with_and_without_an_entrys_number():
    keys = [spec.key for spec in fields()]
    assert len(keys) == len(set(keys))
    assert field_for("samples.3.prompt") is field_for("samples.prompt") is not None
    assert field_for("network.nothing") is None


@SOME
@given(configs())
def test_every_setting_has_a_value_and_a_rule_that_can_be_asked(config):
    for section in sections():
        for spec in section.fields:
            if not section.repeated:
                value_of(config, spec.key)
            assert applies(spec, config) in (True, False)


def test_values_of_entries_are_found_by_number():
    config = config_with(samples=[{"prompt": "a"}, {"prompt": "b"}])
    assert value_of(config, "samples.1.prompt") == "b"
    for key in ("samples.2.prompt", "samples.x.prompt", "network.nothing"):
        with pytest.raises(KeyError):
            value_of(config, key)


def test_a_rule_says_when_a_setting_counts():
    power = field_for("learning.power")
    assert power is not None
    assert not applies(power, Config())
    assert applies(power, config_with(learning={"schedule": "polynomial"}))


def test_ranges_read_as_words():
    shown = {
        key: range_text(spec)
        for key in ("network.rank", "network.alpha", "steps.max_steps")
        if (spec := field_for(key))
    }
    assert shown == {
        "network.rank": "from 1 to 320",
        "network.alpha": "above 0, up to 1024",
        "steps.max_steps": "from 0 to 10000000",
    }


def test_families_named_by_settings_exist():
    for spec in fields():
        for family in spec.option.families:
            assert facts_for(family).name == family
