"""What a measurement leaves: its machine and versions, the page of results; other programs; what a step computes."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lora_tui.bench.__main__ import main
from lora_tui.bench.page import put
from lora_tui.bench.peer import compare_with, words_of
from lora_tui.bench.rate import flux_flops
from lora_tui.errors import UserError

SLOW = (
    "import sys, time; begun = time.process_time()\nwhile time.process_time() - begun < 0.01 * int(sys.argv[1]): pass"
)


def _result(value: str, *, bench: str = "train", processor: str = "A") -> dict[str, Any]:
    place = {"gpus": [], "processor": processor, "cores": 2, "memory_bytes": 8e9}
    return {
        "bench": bench, "options": ["--family", "flux"], "machine": place, "versions": {"torch": "2"},
        "measures": [{"detail": "in | pairs"}], "rows": [["step", value, "", ""]],
    }  # fmt: skip


def test_a_section_is_replaced_by_the_next_of_its_command_and_machine() -> None:
    when = datetime(2026, 1, 2, tzinfo=UTC)
    page = put("", _result("1 ms"), when)
    page = put(page, _result("9 ms", processor="B"), when)
    page = put(page, _result("5 ms", bench="grid"), when)
    again = put(page, _result("2 ms"), when)
    assert again == page.replace("| step (in \\| pairs) | 1 ms |", "| step (in \\| pairs) | 2 ms |")
    assert again.count("## `lora-tui bench train --family flux`") == 2 and again.startswith("# Measurements\n")
    assert "2026-01-02" in again and again.endswith("\n")


def test_every_measurement_tells_what_it_was_measured_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.md"
    assert main(["train", "--size", "micro", "--alone", "--resolution", "64", "--pairs", "1", "--steps", "1",
                 "--family", "flux", "--json", "--write", str(page)]) == 0  # fmt: skip
    told = json.loads(capsys.readouterr().out)
    assert told["bench"] == "train" and told["options"][:2] == ["--size", "micro"] and "--json" not in told["options"]
    assert told["machine"]["cores"] >= 1 and told["machine"]["processor"] and told["machine"]["threads"] >= 1
    assert {"python", "torch", "diffusers"} <= told["versions"].keys()
    step, share = told["measures"]
    assert step["value"] > 0 and 0 < share["value"] < 1
    assert "## `lora-tui bench train --size micro" in page.read_text("utf-8")
    assert main(["train", "--size", "micro", "--write", str(tmp_path / "none" / "page.md")]) == 2
    assert "none/page.md: No such file or directory" in capsys.readouterr().err
    assert main(["train", "--size", "micro", "--peer", "true", "--pairs", "1"]) == 2
    assert "{steps}" in capsys.readouterr().err


@pytest.mark.parametrize(("side", "plain", "again"), [(512, 45, 67), (768, 92, 134), (1024, 171, 246)])
def test_what_a_step_of_flux_computes(side: int, plain: int, again: int) -> None:
    """In TFLOP, for a LoRA on the frozen published model with 512 tokens of text."""
    tokens = (side // 16) ** 2 + 512
    for wanted, checkpointing in ((plain, False), (again, True)):
        assert flux_flops(3072, 57, tokens, again=checkpointing) / 1e12 == pytest.approx(wanted, rel=0.015)


def test_another_program_is_timed_without_its_start(tmp_path: Path) -> None:
    words = words_of(f"{sys.executable} -c '{SLOW}' {{steps}} {{model}}", {"model": "a b"})
    assert words[-1] == "a b"
    seen: list[int] = []
    ratios, seconds = compare_with(words, seen.append, 2, 20, tmp_path, lambda *_pair: None)
    assert seen == [20, 20] and len(ratios) == 2
    assert all(0 < ratio < 1 for ratio in ratios) and all(second > 0 for second in seconds)


@pytest.mark.parametrize("command", ["true", "'open {steps}", "no-such-program {steps}", "false {steps}"])
def test_a_command_that_cannot_be_timed_is_told(command: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as told:
        compare_with(words_of(command, {}), lambda _steps: None, 1, 1, tmp_path, lambda *_pair: None)
    assert told.value.place == "--peer"


def test_lora_operations_are_measured_in_small(capsys: pytest.CaptureFixture[str]) -> None:
    """Against the dense way on a narrow layer, and what a file of 10 GB is."""
    assert main(["lora", "--width", "64", "--times", "1", "--skip-full", "--json"]) == 0
    measures = {measure["name"]: measure for measure in json.loads(capsys.readouterr().out)["measures"]}
    assert {"LoRA resize: difference to the dense way", "LoRA merge of two: difference to the dense way"} < set(
        measures
    )
    assert all(measure["value"] < 1e-5 for name, measure in measures.items() if "difference" in name)
    assert "10.1 GB, 300 layers" in measures["LoRA info"]["detail"] and measures["LoRA info"]["value"] > 0
