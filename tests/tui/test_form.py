"""The parameter form without its widgets: rows from the schema, edits, undo, findings."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from lora_tui.config.fields import fields, value_of
from lora_tui.config.load import set_value
from lora_tui.config.presets import list_presets
from lora_tui.config.schema import Config, DatasetEntry, SamplePrompt
from lora_tui.config.validate import check_config
from lora_tui.errors import UserError
from lora_tui.text import set_language, setting_number
from lora_tui.tui.form import Form, FormRow, groups
from lora_tui.tui.form_lines import detail_lines
from lora_tui.tui.form_words import help_text


def row_for(form: Form, key: str) -> FormRow:
    row = form.row_of(key)
    assert row is not None and row.key == key
    return row


def keys(form: Form) -> list[str]:
    return [row.key for row in form.rows()]


def group_number(name: str) -> int:
    return next(number for number, group in enumerate(groups()) if group.name == name)


def test_every_setting_of_the_schema_has_a_row_in_exactly_one_group():
    config = Config(datasets=[DatasetEntry()], samples=[SamplePrompt()])
    form = Form(config)
    seen: list[str] = []
    for spec in fields():
        if not spec.section:
            continue
        key = spec.key if not spec.repeated else spec.key.replace(".", ".0.", 1)
        assert form.row_of(key) is not None, key
        seen.append(key)
    assert len(seen) == len(set(seen))


def test_simple_view_hides_expert_settings_until_they_are_changed():
    form = Form(Config())
    form.group = group_number("optimizer")
    assert keys(form) == ["optimizer.type"]
    form.set(FormRow("field", "optimizer.beta1", form.group, _spec("optimizer.beta1")), "0.95")
    assert "optimizer.beta1" in keys(form)
    form.expert = True
    assert "optimizer.eps" in keys(form)


def test_the_noise_levels_of_transformers_are_settings_of_every_day():
    form = Form(Config.model_validate({"model": {"family": "flux"}}))
    form.group = group_number("noise")
    assert keys(form) == ["noise.flow_sampling", "noise.flow_shift"]
    form.config.model.family = "sd15"
    assert keys(form) == ["noise.min_snr_gamma"]


def test_settings_of_folders_that_few_need_are_hidden_until_they_are_changed():
    form = Form(Config(datasets=[DatasetEntry(path="/a"), DatasetEntry(path="/b", resolution=768)]))
    form.group = group_number("data")
    shown = set(keys(form))
    assert {"datasets.0.path", "datasets.0.repeats", "datasets.1.resolution"} <= shown
    assert not {"datasets.0.resolution", "datasets.1.batch_size"} & shown
    form.expert = True
    assert "data.bucket_step" in keys(form)
    assert not {"datasets.0.resolution", "datasets.1.batch_size"} & set(keys(form))
    [first, second] = [row for row in form.rows() if row.kind == "entry"]
    assert form.note(first).text == "Enter shows all, x removes"
    assert form.fold(first)
    assert "datasets.0.resolution" in keys(form) and "datasets.1.batch_size" not in keys(form)
    assert form.note(first).text == "Enter folds, x removes"
    assert form.fold(first)
    assert "datasets.0.path" not in keys(form)
    assert form.row_of("datasets.1.batch_size") in form.rows() and second in form.rows()


def test_settings_without_effect_are_hidden_until_they_have_one():
    form = Form(Config())
    form.group = group_number("captions")
    assert "captions.keep_tokens" not in keys(form)
    form.turn(row_for(form, "captions.shuffle"), 1)
    assert "captions.keep_tokens" in keys(form)


def test_text_that_is_not_allowed_changes_nothing_and_says_what_would_be():
    form = Form(Config())
    row = row_for(form, "network.rank")
    assert "1" in form.complaint(row, "999") and "320" in form.complaint(row, "999")
    with pytest.raises(UserError):
        form.set(row, "many")
    assert form.config == Config() and not form.can_undo


def test_undo_and_redo_walk_through_every_kind_of_edit():
    form = Form(Config())
    states = [form.config]
    for edit in (
        lambda: form.set(row_for(form, "network.rank"), "64"),
        lambda: form.turn(row_for(form, "network.text_encoder"), 1),
        lambda: form.add("samples", prompt="one"),
        lambda: form.remove(row_for(form, "samples.0.prompt")),
        lambda: form.reset(row_for(form, "network.rank")),
    ):
        assert edit()
        states.append(form.config)
    for expected in reversed(states[:-1]):
        assert form.undo()
        assert form.config == expected
    assert form.undo() == ""
    for expected in states[1:]:
        assert form.redo()
        assert form.config == expected
    assert form.redo() == ""


def test_an_edit_that_changes_nothing_leaves_nothing_to_undo():
    form = Form(Config())
    assert not form.set(row_for(form, "network.rank"), "32")
    assert not form.can_undo


@pytest.mark.parametrize("query", ["network_dim", "dim", "rank", "NETWORK.RANK"])
def test_search_finds_by_our_words_and_by_the_peers_names(query):
    form = Form(Config())
    form.query = query
    assert "network.rank" in keys(form)


def test_search_finds_expert_settings_and_those_of_list_entries():
    form = Form(Config(samples=[SamplePrompt(prompt="a"), SamplePrompt(prompt="b")]))
    form.query = "guidance"
    assert {"samples.0.guidance", "samples.1.guidance"} <= set(keys(form))
    form.query = "beta"
    assert "optimizer.beta1" in keys(form)
    form.query = "no such thing"
    assert keys(form) == []


def test_a_new_prompt_takes_the_size_of_the_one_before_it():
    form = Form(Config(samples=[SamplePrompt(prompt="first", width=768, steps=28)]))
    row = form.add("samples")
    added = form.config.samples[1]
    assert (added.prompt, added.width, added.steps) == ("", 768, 28)
    assert row.key == "samples.1.prompt" and row in form.rows()


def test_removing_an_entry_leaves_the_others(tmp_path: Path):
    form = Form(Config(datasets=[DatasetEntry(path="/a"), DatasetEntry(path="/b"), DatasetEntry(path="/c")]))
    form.group = group_number("data")
    assert form.remove(row_for(form, "datasets.1.path"))
    assert [entry.path for entry in form.config.datasets] == ["/a", "/c"]
    assert not form.remove(row_for(form, "data.resolution"))


def test_findings_mark_their_group_and_stand_beside_their_row():
    form = Form(Config())
    form.set(row_for(form, "network.alpha"), "64")
    form.findings = check_config(form.config)
    assert form.group_state(group_number("network")) == "warning"
    assert form.group_state(group_number("model")) == "error"
    assert form.group_state(group_number("noise")) == "done"
    note = form.note(row_for(form, "network.alpha"))
    assert note.tone == "warning" and note.text.startswith("! ")


def test_a_finding_leads_to_its_row_even_when_that_is_hidden():
    form = Form(Config(samples=[SamplePrompt()]))
    row = form.row_of("samples.0.width")
    assert row is not None and row in form.rows()
    row = form.row_of("optimizer.eps")
    assert row is not None and row in form.rows() and form.expert


def test_every_row_has_title_value_note_and_help():
    form = Form(Config(datasets=[DatasetEntry(path="/x")], samples=[SamplePrompt(prompt="p")]))
    form.expert = True
    assert form.fold(FormRow("entry", "datasets.0", group_number("data")))
    for number in range(len(groups())):
        form.group = number
        for row in form.rows():
            assert form.title(row).strip()
            assert form.value(row) is not None and form.note(row) is not None
            if row.spec is not None:
                text, names = help_text(row.spec)
                assert text and row.spec.name in names


def test_relative_places_count_from_the_configuration(tmp_path: Path):
    form = Form(Config(datasets=[DatasetEntry()]), base=tmp_path)
    form.set(row_for(form, "datasets.0.path"), "images")
    assert form.config.datasets[0].path == str(tmp_path / "images")


@given(st.floats(1e-12, 10, allow_nan=False))
def test_numbers_are_written_so_that_they_read_back_equal(value):
    config = set_value(Config(), "learning.unet_lr", setting_number(value))
    assert value_of(config, "learning.unet_lr") == value


def test_small_rates_are_written_the_way_people_do():
    assert [setting_number(value) for value in (1e-4, 2.5e-5, 0.05, 32.0, True)] == [
        "1e-4",
        "2.5e-5",
        "0.05",
        "32",
        "true",
    ]


def _spec(key: str):
    return next(spec for spec in fields() if spec.key == key)


def test_the_help_of_a_setting_tells_what_the_presets_that_fit_give_it():
    presets = [preset for preset in list_presets(family="sd15", purpose="character") if preset.kind == "purpose"]
    form = Form(Config())
    text, _names = help_text(row_for(form, "captions.keep_tokens").spec, presets)
    assert text.endswith("Default 0. Preset Character: 1.")
    assert "Preset" not in help_text(row_for(form, "captions.keep_tokens").spec)[0]


@pytest.mark.parametrize("language", ["en", "zh_CN"])
def test_the_help_of_every_setting_is_whole_in_a_terminal_of_80x24(language):
    set_language(language)
    form = Form(Config(datasets=[DatasetEntry(path="/x")], samples=[SamplePrompt(prompt="p")]))
    form.expert = True
    assert form.fold(FormRow("entry", "datasets.0", group_number("data")))
    cards = [one for one in list_presets() if one.kind == "memory"]
    presets = [*list_presets(family="sd15", purpose="character"), *cards][:2]
    for number in range(len(groups())):
        form.group = number
        for row in form.rows():
            if row.spec is not None:
                lines = detail_lines(form, row, None, None, (61, 5), lambda action: action, presets=presets)
                told = "".join(cell.text for line in lines for cell in line)
                assert "parameters.read" not in told and "…" not in told.partition(row.spec.key)[0], row.key


def test_help_that_is_cut_names_the_key_that_reads_on():
    form = Form(Config())
    for height in (1, 2, 3):
        lines = detail_lines(form, row_for(form, "model.base"), None, None, (58, height), lambda _action: "r")
        assert len(lines) == height
        assert "".join(cell.text for cell in lines[-1]).endswith("… r reads on")
        assert all(sum(cell_len(cell.text) for cell in line) <= 58 for line in lines)
