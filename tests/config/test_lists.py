"""Lists as they are typed behind ``--set`` and in the form."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lora_tui.config.lists import list_text, read_list
from lora_tui.config.load import set_value
from lora_tui.config.schema import Config
from lora_tui.tui.form import Form


@pytest.mark.parametrize("text", ["128,512", " 128 , 512 ", "[128, 512]", '["128", "512"]', "['128', '512',]"])
def test_brackets_and_quotes_do_no_harm(text: str) -> None:
    assert set_value(Config(), "data.more_resolutions", text).data.more_resolutions == ["128", "512"]


def test_numbers_for_blocks_are_one_entry_behind_set_and_in_the_form() -> None:
    config = set_value(Config(), "network.layers", "blocks rank=8,8,4 rate=1,0.5,1e-2, IN04 rate=0.5")
    assert config.network.layers == ["blocks rank=8,8,4 rate=1,0.5,1e-2", "IN04 rate=0.5"]
    form = Form(config)
    row = form.row_of("network.layers")
    assert row is not None and not form.set(row, form.edit_text(row))
    assert set_value(Config(), "optimizer.args", "d_coef=2, betas=(0.9, 0.99)").optimizer.args[0] == "d_coef=2"


@given(st.lists(st.text(min_size=1).filter(str.strip)), st.booleans())
@example(['"', '"'], False)
@example(["'", "b'"], True)
def test_what_is_written_reads_back_equal(entries: list[str], of_rules: bool) -> None:
    assert read_list(list_text(entries, of_rules=of_rules), of_rules=of_rules) == entries


@given(st.text(), st.booleans())
def test_any_text_is_a_list(text: str, of_rules: bool) -> None:
    read_list(text, of_rules=of_rules)
