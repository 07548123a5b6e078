"""A UNet whose convolutions are laid out channels-last computes what one in torch's usual order does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from learners import Learner, alike
from lives import events, lean_config, live_here, lora, new_run
from torch import Tensor, nn

from lora_tui.config.validate import check_config
from lora_tui.families.protocol import Storage
from lora_tui.runs.folder import RunFolder


def lies_last(tensor: Tensor) -> bool:
    return tensor.is_contiguous(memory_format=torch.channels_last)


def wide_ones(learner: Learner) -> list[nn.Conv2d]:
    """The convolutions of the base that see a neighbourhood."""
    return [
        module for module in learner.network.own_modules if isinstance(module, nn.Conv2d) and module.kernel_size[0] > 1
    ]


@pytest.mark.parametrize(
    ("family", "base", "again", "convolutions"),
    [
        pytest.param("sd15", "full", False, False, marks=pytest.mark.slow),
        ("sd15", "full", True, True),
        ("sd15", "int8", False, True),
        pytest.param("sdxl", "nf4", True, True, marks=pytest.mark.slow),
    ],
)
def test_prediction_and_gradients_are_those_of_the_usual_order(
    tmp_path: Path, family: str, base: str, again: bool, convolutions: bool
) -> None:
    plain, last = (
        Learner(tmp_path, family, base=base, again=again, channels_last=asked, convolutions=convolutions)
        for asked in (False, True)
    )
    layouts: list[bool] = []
    for module in wide_ones(last):
        module.register_forward_pre_hook(lambda _module, given: layouts.append(lies_last(given[0])))
    for width in (12, 16):  # at 8 the narrowest level has one point, whose norm makes much of rounding
        alike(plain.learned(width), last.learned(width), within=2e-4, least=1e-5)
    assert layouts and layouts[0] and sum(layouts) > len(layouts) // 2
    assert all(lies_last(module.weight) for module in wide_ones(last))
    assert not any(lies_last(module.weight) for module in wide_ones(plain))
    assert all(tensor.is_contiguous() for tensor in last.adapter.tensors().values())  # as files want them


def test_the_layout_outlasts_pauses_and_a_base_that_is_kept_otherwise(tmp_path: Path) -> None:
    learner = Learner(tmp_path, "sd15", again=True, channels_last=True, convolutions=True)
    wanted = learner.learned(12)
    for storage in (Storage("full", 2, channels_last=True), Storage("full", channels_last=True)):
        learner.model.park()
        learner.model.unpark()
        learner.model.keep(storage)
        learner.model.enable_checkpointing(text_encoder=False, share=1.0)
        assert all(lies_last(module.weight) for module in wide_ones(learner))
        alike(wanted, learner.learned(12), within=2e-4, least=1e-5)


def test_a_run_learns_the_same_and_is_told_to_have_changed_by_it(base: Path, few: Path, tmp_path: Path) -> None:
    def lived(name: str, **memory: Any) -> RunFolder:
        config = lean_config(
            base, few, memory={"precision": "fp32", "threads": 1, **memory}, steps={"epochs": 1, "batch_size": 2},
            network={"all_convolutions": True},
        )  # fmt: skip
        run = new_run(tmp_path / name, config)
        assert live_here(run) == 0, events(run, "failed")
        return run

    plain, last = lived("plain"), lived("last", channels_last=True)
    losses = [[event["loss"] for event in events(run, "step")] for run in (plain, last)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-5) and losses[0] != losses[1]
    one, other = lora(plain), lora(last)
    assert one.keys() == other.keys()
    alike(list(one.values()), [other[name] for name in one], within=1e-2)
    text = last.config_path.read_text("utf-8")
    assert "channels_last = true" in text
    last.config_path.write_text(text.replace("channels_last = true", "channels_last = false"), "utf-8")
    assert live_here(last, resume=True) == 0
    assert [event["code"] for event in events(last, "warning")] == ["resume.settings"]


def test_other_families_are_told_that_it_has_no_effect(base: Path, few: Path) -> None:
    for family, count in (("sd15", 0), ("flux", 1)):
        config = lean_config(base, few, model={"family": family}, memory={"channels_last": True})
        told = [one for one in check_config(config) if one.field == "memory.channels_last"]
        assert len(told) == count and all("no effect on FLUX" in one.message for one in told)
        assert config.lays_channels_last is (family == "sd15")


@pytest.mark.gpu
@pytest.mark.parametrize("family", ["sd15", "sdxl"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_gpu_gives_what_it_gives_in_the_usual_order(tmp_path: Path, family: str, dtype: torch.dtype) -> None:
    plain, last = (
        Learner(tmp_path, family, device=torch.device("cuda"), dtype=dtype, channels_last=asked, convolutions=True)
        for asked in (False, True)
    )
    band = 1e-3 if dtype == torch.float32 else 5e-2
    alike(plain.learned(12), last.learned(12), within=band, least=1e-3)
