"""A batch that goes through the network in parts, where memory is short, teaches what the whole does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lora_tui.config.schema import CaptionSection, ModelSection, NoiseSection
from lora_tui.families import open_model
from lora_tui.trainer.adapters.dropout import Dropout
from lora_tui.trainer.data.prepared import Prepared
from lora_tui.trainer.memory.passes import parts_of
from lora_tui.trainer.memory.share import Share
from lora_tui.trainer.objectives.losses import loss_for
from lora_tui.trainer.objectives.objective import objective_for
from lora_tui.trainer.step import StepFunction

CPU = torch.device("cpu")


def test_a_batch_in_parts_is_the_batch() -> None:
    rows = torch.arange(7.0)
    whole = Prepared(7, {"noise": rows}, {"text": rows + 1}, {"ids": rows + 2})
    parts = list(parts_of(whole, 3))
    assert [share for _part, share in parts] == [Share(0, 3, 7), Share(3, 6, 7), Share(6, 7, 7)]
    assert [part.images for part, _share in parts] == [3, 3, 1]
    for name in ("inputs", "conditioning", "tokens"):
        ((key, tensor),) = getattr(whole, name).items()
        assert torch.equal(torch.cat([getattr(part, name)[key] for part, _share in parts]), tensor)
    assert list(parts_of(whole, 0)) == [(whole, Share(0, 7, 7))]
    assert list(parts_of(Prepared(), 3)) == []


@pytest.mark.filterwarnings("ignore:In CPU autocast")
def test_gradients_of_parts_add_up_to_those_of_the_batch(base: Path) -> None:
    """In double precision, in which the norms of so small a network do not blow rounding up."""
    section, noise = ModelSection(base=str(base)), NoiseSection()
    model: Any = open_model(section, CaptionSection(), device=CPU, dtype=torch.float64)
    objective = objective_for(model, noise)
    step = StepFunction(model, objective, loss_for(noise, objective.ratios))
    generator = torch.Generator().manual_seed(2)

    def drawn(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    inputs = {
        "latents": drawn(3, 4, 8, 8), "noise": drawn(3, 4, 8, 8), "timesteps": torch.tensor([90, 400, 800]),
        "mask": drawn(3, 1, 8, 8).abs(), "weight": torch.tensor([1.0, 0.5, 2.0]),
    }  # fmt: skip
    batch = Prepared(3, inputs, {"text": drawn(3, 77, model.unet.config.cross_attention_dim)})
    weight = model.unet.mid_block.attentions[0].transformer_blocks[0].attn1.to_v.weight.requires_grad_()

    def gradient(at_once: int) -> Tensor:
        found = [torch.autograd.grad(step.losses(part).sum(), weight)[0] for part, _share in parts_of(batch, at_once)]
        return torch.stack(found).sum(dim=0)

    whole = gradient(0)
    for at_once in (1, 2):
        assert (gradient(at_once) - whole).norm() < 1e-6 * whole.norm()  # the error is taken in single precision


@pytest.mark.parametrize("module", [nn.Linear(4, 8), nn.Conv2d(4, 8, 1)], ids=["linear", "convolution"])
def test_a_part_of_a_batch_leaves_out_what_the_whole_does(module: nn.Module) -> None:
    shape = (6, 8, 3, 3) if isinstance(module, nn.Conv2d) else (6, 5, 8)
    output = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    dropout = Dropout(neurons=0.3, ranks=0.2, modules=0.1, on=True)

    def dropped(rows: slice, share: Share | None) -> Tensor:
        torch.manual_seed(5)
        dropout.share = share
        found = dropout(module, (), output[rows])
        assert found is not None
        return found

    whole = dropped(slice(None), None)
    parts = [dropped(slice(start, start + 2), Share(start // 2, start // 2 + 1, 3)) for start in (0, 2, 4)]
    assert torch.equal(torch.cat(parts), whole)  # of three images with two rows each
    assert not torch.equal(whole, output)


def test_dropout_draws_what_torch_draws() -> None:
    output, layer = torch.randn(6, 5, 8, generator=torch.Generator().manual_seed(1)), nn.Linear(4, 8)
    torch.manual_seed(5)
    found = Dropout(neurons=0.3, on=True)(layer, (), output)
    torch.manual_seed(5)
    assert torch.equal(found, nn.functional.dropout(output, 0.3))  # type: ignore[arg-type]
