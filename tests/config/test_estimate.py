"""The size of a LoRA file, told beforehand, against a file that was written."""

import json

import pytest
import torch
from config_samples import config_with
from safetensors.torch import save_file

from lora_tui.config.estimate import adapted_layers, lora_bytes, trained_parameters
from lora_tui.families import facts_for
from lora_tui.weights.lora_file import DTYPES, file_tensors
from lora_tui.weights.names.shapes import file_shapes


@pytest.mark.parametrize(
    ("rank", "precision", "text_encoder", "kind"),
    [(4, "fp16", True, "lora"), (16, "bf16", False, "lora"), (8, "fp32", True, "locon")],
)
def test_a_written_file_has_the_size_that_was_told(tmp_path, rank, precision, text_encoder, kind):
    network = {"type": kind, "rank": rank, "conv_rank": 2, "text_encoder": text_encoder}
    config = config_with(network=network, saving={"precision": precision})
    layers = {}
    for target in facts_for("sd15").targets(text_encoder=text_encoder, convolutions=kind == "locon"):
        kernel, ones = ((target.kernel,) * 2, (1, 1)) if target.convolution else ((), ())
        own = 2 if target.kernel > 1 else rank
        down, up = torch.zeros(own, target.inputs, *kernel), torch.zeros(target.outputs, own, *ones)
        tensors = {"lora_down.weight": down, "lora_up.weight": up, "alpha": torch.tensor(1.0)}
        layers[target.part, target.path] = tensors
    tensors = file_tensors("sd15", layers, dtype=DTYPES[precision])
    tags = {f"a usual tag {number}": number for number in range(150)}
    metadata = {f"ss_some_setting_{number}": "a usual value" for number in range(80)}
    metadata |= {"ss_tag_frequency": json.dumps(tags), "ss_datasets": json.dumps(tags)}
    save_file(tensors, tmp_path / "x.safetensors", metadata=metadata)
    assert lora_bytes(config, images=25) == pytest.approx((tmp_path / "x.safetensors").stat().st_size, rel=0.02)
    values = sum(tensor.numel() for name, tensor in tensors.items() if not name.endswith(".alpha"))
    assert trained_parameters(config) == values


@pytest.mark.parametrize(("family", "layout"), [("flux", "auto"), ("flux", "kohya"), ("sdxl", "diffusers")])
def test_the_size_is_that_of_the_chosen_layout(family, layout):
    """Every tensor's name and shape, against those of a file's tensors."""
    config = config_with(model={"family": family}, network={"rank": 2, "layers": ["*.to_k rank=3"]})
    layers = {}
    targets = facts_for(family).targets()
    for number, target in enumerate(targets):
        rank = 3 if target.path.endswith(".to_k") else 2
        ones = (1, 1) if target.convolution else ()
        layers[target.part, target.path] = {
            "lora_down.weight": torch.full((1,), float(number)).expand(rank, target.inputs, *ones),  # shared by none
            "lora_up.weight": torch.zeros(1).expand(target.outputs, rank, *ones),
            "alpha": torch.tensor(32.0),
        }
    few = dict(list(layers.items())[:19] + list(layers.items())[-19:])  # some of each kind are enough to compare
    written = file_tensors(family, few, dtype=torch.float16, layout=layout)
    adapted = [one for one in adapted_layers(config) if (one.part, one.path) in few]
    assert {name: tuple(t.shape) for name, t in written.items()} == file_shapes(family, layout, adapted)
    assert lora_bytes(config) > trained_parameters(config) * 2
