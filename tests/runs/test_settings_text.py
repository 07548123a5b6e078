"""A run's settings in calm words."""

from __future__ import annotations

from pathlib import Path

import pytest
from run_builders import make_run

from lora_tui.config.load import parse_config
from lora_tui.runs.settings_text import adapter_of, described, settings_of

_LOKR = {"type": "lokr", "rank": 16, "alpha": 4}


@pytest.mark.parametrize(
    ("network", "said"),
    [
        ({}, ("LoRA", "rank 32", "alpha 32")),
        (_LOKR | {"dora": True}, ("LoKr + DoRA", "rank 16", "alpha 4")),
        (_LOKR | {"full_matrix": True}, ("LoKr",)),
        ({"type": "boft", "rank": 8, "dora": True}, ("BOFT", "blocks up to 8")),
        ({"type": "ia3"}, ("(IA)^3",)),
        ({"type": "full", "dora": True}, ("full difference",)),
    ],
)
def test_an_adapter_is_told_by_its_kind_and_what_the_kind_has(network: dict[str, object], said: tuple[str]) -> None:
    settings = described(parse_config({"schema_version": 1, "network": network}))
    assert settings.parts[0] == ("sd15", *said, "512 px")
    assert settings.adapter == ", ".join(said)


def test_optimizer_schedule_and_a_packed_base_are_told() -> None:
    data = {"optimizer": {"type": "prodigy"}, "learning": {"unet_lr": 1, "schedule": "rex"}}
    settings = described(parse_config({**data, "memory": {"base_weights": "nf4"}, "steps": {"max_steps": 1}}))
    assert (settings.optimizer, settings.schedule) == ("Prodigy", "rex")
    assert settings.lines[1:] == ("Prodigy, lr 1, rex, batch 2, 1 step", "the base is packed in 4 bits (nf4)")
    memory = {"base_weights": "int8", "products": "8bit"}
    assert described(parse_config({**data, "memory": memory})).parts[2] == (
        "the base is packed in 8 bits (int8)", "products in 8 bits",
    )  # fmt: skip
    memory = {"channels_last": True}
    assert described(parse_config({**data, "memory": memory})).parts[2] == ("convolutions channels-last",)
    assert len(described(parse_config({**data, "memory": memory, "model": {"family": "flux"}})).parts) == 2
    other = {"type": "other", "kind": "torch.optim.RAdam\x1b"}
    learning = {"schedule": "other", "schedule_class": "torch.optim.lr_scheduler.StepLR"}
    settings = described(parse_config({"optimizer": other, "learning": learning}))
    assert "\x1b" not in settings.optimizer and settings.optimizer.startswith("torch.optim.RAdam")
    assert settings.schedule == "torch.optim.lr_scheduler.StepLR" and settings.base == ""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[network]\ntype = "locon"\nrank = 8\n', "LoCon 8"),
        ('[network]\ntype = "loha"\nrank = 4\ndora = true\n', "LoHa + DoRA 4"),
        ('[network]\ntype = "full"\nrank = 4\n', "full difference"),
        ("", "LoRA"),
        ("network = 3\n", "-"),
        ('[network]\ntype = ["\\u001b"]\nrank = "x"\n', None),
        ("not = [toml", "-"),
    ],
)
def test_a_list_of_runs_has_the_adapter_in_a_word(tmp_path: Path, text: str, said: str | None) -> None:
    run = make_run(tmp_path)
    run.config_path.write_text(text)
    told = adapter_of(run)
    assert told == said if said is not None else "\x1b" not in told
    assert (settings_of(run) is None) == (said in ("-", None))
