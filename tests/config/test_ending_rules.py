from __future__ import annotations

import pytest

from lora_tui.config.load import parse_config
from lora_tui.config.rules import ending


@pytest.mark.parametrize(
    ("values", "code", "severity"),
    [
        ({"budget": "soon"}, "budget.value", "error"),
        ({"budget": "2"}, "budget.value", "error"),
        ({"on_finish": "poweroff \x1b[31m"}, "ending.on_finish", "note"),
        ({"on_finish": "a\0b"}, "ending.command", "error"),
    ],
)
def test_what_cannot_be_kept_is_refused_and_a_command_is_shown(
    values: dict[str, str], code: str, severity: str
) -> None:
    config = parse_config({"ending": values})
    (finding,) = [one for rule in ending.RULES for one in rule(config)]
    assert (finding.code, finding.severity) == (code, severity)
    assert "\x1b" not in finding.message


def test_a_sound_ending_says_nothing() -> None:
    config = parse_config({"ending": {"budget": "2h"}})
    assert [one for rule in ending.RULES for one in rule(config)] == []
