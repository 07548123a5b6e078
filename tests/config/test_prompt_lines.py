"""Prompts with the flags of sd-scripts (train_util.line_to_prompt_dict): the same letters mean the same here."""

from pathlib import Path

import pytest
from config_samples import config_with

from lora_tui.cli.main import run
from lora_tui.config.load import load_config, set_value
from lora_tui.config.prompt_lines import prompts_of, values_of, with_prompts
from lora_tui.config.validate import check_config
from lora_tui.errors import UserError
from lora_tui.tui.form import Form

LINE = "1girl, a -- b --n low quality, blurry --w 515 --h 768 --d 7 --l 6.5 --s 28 --ss k_euler_a"


def test_each_flag_sets_what_it_means():
    assert values_of(LINE) == {
        "prompt": "1girl, a -- b",
        "negative": "low quality, blurry",
        "width": 512,  # rounded down to a multiple of 8
        "height": 768,
        "seed": 7,
        "guidance": 6.5,
        "steps": 28,
        "sampler": "euler_a",
    }
    assert values_of("a cat") == {"prompt": "a cat"}
    assert values_of("--w 512")["prompt"] == ""
    both = "a --l 7 --g 3.5"
    assert (values_of(both)["guidance"], values_of(both, told=True)["guidance"]) == (7.0, 3.5)


@pytest.mark.parametrize(("line", "told", "means"), [("a --l 3.5", True, "--g 3.5"), ("a --g 3.5", False, "--l 7")])
def test_guidance_of_the_other_kind_alone_is_refused_with_the_one_that_is_meant(line: str, told: bool, means: str):
    with pytest.raises(UserError) as caught:
        values_of(line, told=told)
    assert means in caught.value.remedy
    form = Form(config_with(model={"family": "flux" if told else "sdxl"}, samples=[{"prompt": "a"}]))
    row = form.row_of("samples.0.prompt")
    assert row is not None and form.complaint(row, line) == caught.value.message


@pytest.mark.parametrize("line", ["a --ar 3", "a --w wide", "a --ss own", "a --d"])
def test_what_cannot_be_read_is_named(line: str):
    with pytest.raises(UserError) as caught:
        values_of(line)
    assert caught.value.code == "samples.flags"
    assert "--w" in caught.value.remedy


def test_a_file_of_prompts_comes_in_as_sd_scripts_reads_it(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("LORA_TUI_HOME", str(tmp_path / "home"))
    path = tmp_path / "prompts.txt"
    path.write_text(f"# for the run\n\n{LINE}\na dog --w 640\n", "utf-8")
    config = with_prompts(config_with(samples=[{"prompt": "first", "height": 640, "negative": "x"}]), path)
    assert [(s.prompt, s.width, s.height, s.negative) for s in config.samples] == [
        ("first", 512, 640, "x"),
        ("1girl, a -- b", 512, 768, "low quality, blurry"),
        ("a dog", 640, 640, ""),
    ]
    assert run(["config", "new", str(tmp_path / "c.toml"), "--prompts", str(path), "--json"]) == 0
    assert [sample.prompt for sample in load_config(tmp_path / "c.toml").samples] == ["1girl, a -- b", "a dog"]
    path.write_text("a\nb --q 3\n", "utf-8")
    with pytest.raises(UserError) as caught:
        prompts_of(path)
    assert caught.value.place.endswith("prompts.txt:2")
    path.write_text("a --s 5000\n", "utf-8")
    with pytest.raises(UserError, match="samples"):
        with_prompts(config_with(), path)


def test_flags_that_are_typed_into_the_form_are_taken_apart_and_those_in_a_file_named():
    form = Form(config_with(samples=[{"prompt": "a"}]))
    row = form.row_of("samples.0.prompt")
    assert row is not None and form.set(row, "a cat --w 640 --d 3")
    [sample] = form.config.samples
    assert (sample.prompt, sample.width, sample.seed) == ("a cat", 640, 3)
    assert set_value(form.config, "samples.0.prompt", "plain -- text").samples[0].prompt == "plain -- text"
    told = {finding.code for finding in check_config(config_with(samples=[{"prompt": "a --w 64"}]))}
    assert "samples.flags" in told
