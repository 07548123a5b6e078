from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from run_builders import add_lines, event_line, make_run

from lora_tui.runs.totals import find_totals


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 3000), st.integers(1, 4))
def test_the_plan_is_found_wherever_it_stands_and_however_often_it_was_looked_for(
    tmp_path_factory: pytest.TempPathFactory, before: int, looks: int
) -> None:
    run = make_run(tmp_path_factory.mktemp("r"))
    for _ in range(looks):
        add_lines(run, [event_line("phase", phase="caching", detail="run", done=n) for n in range(before)])
        assert find_totals(run, {}) is None
    line = event_line("run", total_steps=90, epochs=3)
    add_lines(run, [line[:30]])
    assert find_totals(run, {}) is None
    add_lines(run, [line[30:], event_line("run", total_steps=1)])
    for _ in range(looks):
        assert (find_totals(run, {}) or {})["total_steps"] == 90


def test_a_file_that_is_missing_or_cut_has_none(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    assert find_totals(run, {"totals": "many"}) is None
    add_lines(run, ["x" * 3_000_000, event_line("run", total_steps=4), event_line("run", total_steps=5)])
    assert (find_totals(run, {}) or {})["total_steps"] == 5  # the first stands on a line that is no event
    run.events_path.write_text("")
    assert find_totals(run, {}) is None
