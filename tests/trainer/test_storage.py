"""A base model that is packed or streamed learns the same as one that is not, or nearly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from lives import draw_dataset, events, live_here, lora, micro_config, new_run

from lora_tui.bench.flux_model import MICRO, write_flux_model
from lora_tui.bench.model import write_model
from lora_tui.config.estimate import memory_parts
from lora_tui.config.schema import CaptionSection, ModelSection
from lora_tui.dataset.batches import make_plan
from lora_tui.dataset.scan import scan_datasets
from lora_tui.families import open_model
from lora_tui.families.protocol import Storage
from lora_tui.families.quantized import QuantizedLinear


@pytest.fixture(scope="module")
def flux(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("flux")
    return write_flux_model(root / "model"), draw_dataset(root / "pictures", 8)


def trained(root: Path, flux: tuple[Path, Path], **memory: Any) -> tuple[list[float], dict[str, Any]]:
    """The losses of a FLUX run and its last LoRA."""
    config = micro_config(
        *flux,
        model={"family": "flux"},
        captions={"t5_tokens": 128},
        data={"bucket_step": 16},
        network={"text_encoder": False},
        steps={"epochs": 2},
        memory={"gradient_checkpointing": True, **memory},
        samples=[{"prompt": "blob", "width": 64, "height": 64, "steps": 2, "sampler": "euler", "guidance": 3.5}],
    )
    run = new_run(root / "runs", config)
    assert live_here(run) == 0, events(run, "failed")
    assert len(events(run, "sample")) == 3
    return [event["loss"] for event in events(run, "step")], lora(run)


@pytest.fixture(scope="module")
def whole(flux: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[list[float], dict[str, Any]]:
    """What is learned on a base in full."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LORA_TUI_HOME", str(tmp_path_factory.mktemp("home")))
        return trained(tmp_path_factory.mktemp("whole"), flux)


@pytest.mark.parametrize("blocks", [3, 99])
def test_streamed_blocks_learn_bit_for_bit_the_same(
    tmp_path: Path, flux: tuple[Path, Path], whole: tuple[list[float], dict[str, Any]], blocks: int
) -> None:
    losses, file = whole
    streamed, same = trained(tmp_path, flux, streamed_blocks=blocks)
    assert streamed == losses
    assert file.keys() == same.keys()
    assert all(torch.equal(file[name], same[name]) for name in file)


@pytest.mark.parametrize("kind", ["fp8", "int8", "nf4"])
def test_packed_weights_learn_nearly_the_same(
    tmp_path: Path, flux: tuple[Path, Path], whole: tuple[list[float], dict[str, Any]], kind: str
) -> None:
    losses, _file = whole
    packed, _same = trained(tmp_path, flux, base_weights=kind, streamed_blocks=2)
    assert packed != losses
    assert packed == pytest.approx(losses, rel=0.02)


@pytest.mark.parametrize("family", ["sd15", "sdxl"])
def test_the_transformers_of_a_unet_are_packed_and_streamed(tmp_path: Path, family: str) -> None:
    section = ModelSection(base=str(write_model(tmp_path / "model", family=family)), family=family)  # type: ignore[arg-type]
    cpu, storage = torch.device("cpu"), Storage("int8", 4)
    model: Any = open_model(section, CaptionSection(), device=cpu, dtype=torch.float32, storage=storage)
    plain: Any = open_model(section, CaptionSection(), device=cpu, dtype=torch.float32)
    packed = {name for name, module in model.unet.named_modules() if isinstance(module, QuantizedLinear)}
    assert packed == {target.path for target in model.targets(text_encoder=False) if not target.convolution}
    text = plain.encode_text(plain.tokenize(["a cat"], 1))
    noisy = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    if family == "sdxl":
        text["sizes"] = torch.full((1, 6), 64.0)
    with torch.no_grad():
        wanted, found = (one.predict(noisy, torch.tensor([500]), text) for one in (plain, model))
    assert (found - wanted).abs().mean() < 0.03 * wanted.abs().mean()
    assert model.unet.stream.loads >= 4


def test_streamed_blocks_lie_between_others() -> None:
    assert Storage(streamed=2).visiting(MICRO.double + MICRO.single) == [0, 2]
    assert Storage(streamed=57).visiting(57) == list(range(57)) == Storage(streamed=99).visiting(57)
    assert Storage(streamed=3).visiting(57) == [0, 19, 38]
    assert Storage().visiting(57) == []


@pytest.mark.parametrize(
    "storage", [Storage(), Storage("int8"), Storage("fp8", 2), Storage("nf4", 3), Storage("full", 9)]
)
def test_the_plan_knows_what_the_base_takes(flux: tuple[Path, Path], storage: Storage) -> None:
    config = micro_config(
        *flux,
        model={"family": "flux"},
        network={"text_encoder": False},
        memory={"gradient_checkpointing": True, "base_weights": storage.weights, "streamed_blocks": storage.streamed},
    )
    planned = memory_parts(config, make_plan(config, scan_datasets(config)))["weights"]
    cpu = torch.device("cpu")
    model: Any = open_model(config.model, config.captions, device=cpu, dtype=torch.float32, storage=storage)
    network, stream = model.transformer, getattr(model.transformer, "stream", None)
    held = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes()
            for tensor in (*network.parameters(), *network.buffers())}  # fmt: skip
    on_device = sum(held.values()) - (stream.home_bytes - stream.device_bytes if stream else 0)
    assert on_device == pytest.approx(planned, rel=0.25)  # so narrow a model has many factors and gaps
