"""Converting LoRA files: the same is added under every program's names; to the bit where that can be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from lora_files import ALPHA, DOWN, UP, Said, added, apart, by_hand, done, layers, places, same_tensors, written
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from lora_tui.errors import UserError
from lora_tui.weights.header.loras import lora_info
from lora_tui.weights.kinds import Form, tensor_shapes
from lora_tui.weights.names import NAMES
from lora_tui.weights.names.programs import PROGRAMS, naming
from lora_tui.weights.work import work

QUERY = ("unet", "mid_block.attentions.0.transformer_blocks.0.attn1.to_q")
#: The names in which the trainer writes each family's files, for the way back.
OWN = {"sd15": "kohya", "sd2": "kohya", "sdxl": "kohya", "flux": "diffusers", "chroma": "diffusers", "sd3": "diffusers",
       "flux2": "diffusers", "zimage": "comfyui", "qwen": "comfyui"}  # fmt: skip


def converted(source: Path, target: Path, **options: Any) -> dict[str, Any]:
    return done(operation="convert", source=str(source), target=str(target), force=True, **options)


@pytest.mark.parametrize("family", NAMES)
@pytest.mark.parametrize("program", PROGRAMS)
def test_every_layout_of_every_family_adds_the_same_and_goes_back(tmp_path: Path, family: str, program: str) -> None:
    """To the bit with an alpha beside the matrices, and where the scale is 1 or a power of two without one.

    A scale that is no power of two (0.3) is rounded where it is multiplied into a matrix: there the way back is not to
    the bit, and what is added is the same within that rounding.
    """
    chosen = [one for one in places(family) if program != "peft" or not one.part.startswith("text_encoder")]
    for alpha, exact in ((4.0, True), (1.2, naming(program, family).alpha)):  # type: ignore[arg-type]
        made = layers(chosen, 4, alpha, 1)
        file = written(tmp_path / "a.safetensors", family, made)
        there, back = tmp_path / "there.safetensors", tmp_path / "back.safetensors"
        told = converted(file, there, to=program, family=family)
        wanted = {place: by_hand(own) for place, own in made.items()}
        assert apart(wanted, added(there, family)) < 1e-6
        assert told["error"] < 1e-6
        assert any(name.endswith(".alpha") for name in load_file(there)) == naming(program, family).alpha  # type: ignore[arg-type]
        converted(there, back, to=OWN[family], family=family)
        assert apart(wanted, added(back, family)) < 1e-6
        own_alpha = naming(OWN[family], family).alpha  # type: ignore[arg-type]
        if exact and (own_alpha or alpha == 4.0):
            assert same_tensors(file, back)


@pytest.mark.slow
@pytest.mark.parametrize("family", NAMES)
@pytest.mark.parametrize("alpha", [4.0, 1.2])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_from_every_layout_to_every_other_and_back(
    tmp_path: Path, family: str, alpha: float, dtype: torch.dtype
) -> None:
    """To the bit, but where a scale that is no power of two was beside the matrices and has no place there.

    Then it is multiplied into one of them, and that rounds, once.
    """
    for first in PROGRAMS:
        for other in PROGRAMS:
            texts = "peft" not in (first, other)
            chosen = [one for one in places(family) if texts or not one.part.startswith("text_encoder")]
            source = written(tmp_path / "0.safetensors", family, layers(chosen, 4, alpha, 1, dtype=dtype), "kohya")
            files = [tmp_path / f"{number}.safetensors" for number in (1, 2, 3)]
            for program, before, after in zip((first, other, first), (source, *files), files, strict=False):
                converted(before, after, to=program, family=family)
            kept = naming(other, family).alpha or not naming(first, family).alpha
            assert same_tensors(files[0], files[2]) == (alpha == 4.0 or kept), (first, other)
            near = 4 * torch.finfo(dtype).eps
            assert apart(added(files[0], family), added(files[2], family)) < near


@pytest.mark.parametrize("family", ["flux", "sd3", "flux2", "chroma", "zimage"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_layers_that_were_trained_in_one_are_taken_apart_and_put_together_to_the_bit(
    tmp_path: Path, family: str, dtype: torch.dtype
) -> None:
    """One small matrix for query, key and value, as sd-scripts trains them; pieces share it, and it is found again."""
    name = {"flux": "double_blocks_0_img_attn_qkv", "sd3": "joint_blocks_0_x_block_attn_qkv", "flux2":
            "double_blocks_0_img_attn_qkv", "chroma": "single_blocks_3_linear1",
            "zimage": "layers_0_attention_qkv"}[family]  # fmt: skip
    generator = torch.Generator().manual_seed(2)
    high = 7 * 12 if "linear1" in name else 3 * 12
    down, up = (torch.randn(*sides, generator=generator).to(dtype) for sides in ((5, 12), (high, 5)))
    own = {DOWN: down, UP: up, ALPHA: torch.tensor(2.0)}
    file = tmp_path / "a.safetensors"
    save_file({f"lora_unet_{name}.{kind}": one for kind, one in own.items()}, file)
    split, back = tmp_path / "split.safetensors", tmp_path / "back.safetensors"
    converted(file, split, to="onetrainer", family=family)
    assert len([key for key in load_file(split) if key.endswith(DOWN)]) == (4 if "linear1" in name else 3)
    converted(split, back, to="kohya", family=family)
    assert same_tensors(file, back)


def test_precision_is_what_was_asked_for_and_alphas_stay_whole(tmp_path: Path) -> None:
    file = written(tmp_path / "a.safetensors", "sd15", layers(places("sd15"), 4, 0.3, 1))
    told = converted(file, tmp_path / "half.safetensors", precision="bf16")
    tensors = load_file(tmp_path / "half.safetensors")
    assert {one.dtype for name, one in tensors.items() if not name.endswith("alpha")} == {torch.bfloat16}
    assert all(float(one) == pytest.approx(0.3, abs=1e-7) for name, one in tensors.items() if name.endswith("alpha"))
    assert 1e-4 < told["error"] < 1e-2 and told["layout"] == "as it was"


@pytest.mark.parametrize("kind", ["loha", "lokr"])
@pytest.mark.parametrize("program", ["", "diffusers", "kohya"])
def test_lycoris_kinds_become_plain_lora_exactly_or_with_their_loss_told(
    tmp_path: Path, kind: str, program: str
) -> None:
    generator = torch.Generator().manual_seed(4)
    made = {}
    for place, kernel in ((QUERY, None), (("unet", "down_blocks.1.resnets.0.conv2"), 3)):
        shapes = tensor_shapes(Form(kind), "x", 24, 16, 2, kernel=kernel)
        made[place] = {name: torch.randn(shape, generator=generator) * 0.3 for name, shape in shapes.items()}
        made[place][ALPHA] = torch.tensor(1.0)
    file = written(tmp_path / "a.safetensors", "sd15", made)
    whole = added(file, "sd15")
    told = converted(file, tmp_path / "lora.safetensors", **{"as": "lora", "to": program, "family": "sd15"})
    assert apart(whole, added(tmp_path / "lora.safetensors", "sd15")) < 1e-5 and told["error"] < 1e-5
    assert lora_info(tmp_path / "lora.safetensors").kind in ("lora", "locon")
    keep = {"rule": "rank", "value": 2}
    told = converted(file, tmp_path / "cut.safetensors", **{"as": "lora", "keep": keep, "family": "sd15"})
    found = added(tmp_path / "cut.safetensors", "sd15")
    missing = sum(float((found[place] - one).norm()) ** 2 for place, one in whole.items())
    norm = sum(float(one.norm()) ** 2 for one in whole.values())
    assert told["error"] == pytest.approx((missing / norm) ** 0.5, rel=1e-3) and told["error"] > 0.01


def test_full_differences_become_lora_and_norms_and_biases_are_told_as_lost(tmp_path: Path) -> None:
    made = {QUERY: {"diff": torch.randn(7, 5), "diff_b": torch.randn(7)}}
    file = written(tmp_path / "a.safetensors", "sd15", made)
    save_file({**load_file(file), "lora_unet_mid_block_resnets_0_norm1.w_norm": torch.randn(4)}, file)
    said = Said()
    options = {"operation": "convert", "source": str(file), "target": str(tmp_path / "o.safetensors"), "as": "lora"}
    work({**options, "family": "sd15"}, said)
    assert apart({QUERY: made[QUERY]["diff"].double()}, added(tmp_path / "o.safetensors", "sd15")) < 1e-5
    assert [error.code for error in said.warnings] == ["lora.left_out", "lora.left_out"]


@pytest.fixture
def base(tmp_path: Path) -> Path:
    from lora_tui.bench.model import write_model

    return write_model(tmp_path / "base", seed=7, family="sd15")


def _weight(base: Path, place: tuple[str, str]) -> Tensor:
    return load_file(base / place[0] / "diffusion_pytorch_model.safetensors")[f"{place[1]}.weight"].float()


def test_what_is_no_sum_becomes_a_lora_upon_its_base_model(tmp_path: Path, base: Path) -> None:
    """DoRA and OFT by their own formulas: what they make of the weight, less the weight."""
    weight = _weight(base, QUERY)
    outputs, inputs = weight.shape
    pair = {DOWN: torch.randn(2, inputs) * 0.1, UP: torch.randn(outputs, 2) * 0.1, ALPHA: torch.tensor(1.0)}
    sizes = torch.rand(1, inputs) + 0.5
    dora = written(tmp_path / "dora.safetensors", "sd15", {QUERY: {**pair, "dora_scale": sizes}})
    blocks = torch.randn(4, outputs // 4, outputs // 4) * 0.3
    turned = written(tmp_path / "oft.safetensors", "sd15", {QUERY: {"oft_blocks": blocks}})
    whole = weight + by_hand(pair).float()
    skew = blocks - blocks.transpose(1, 2)
    one = torch.eye(outputs // 4)
    turns = torch.stack([(one + q) @ torch.linalg.inv(one - q) for q in skew])
    parts = weight.view(4, outputs // 4, inputs)
    wanted = {
        dora: whole / whole.norm(dim=0) * sizes - weight,
        turned: torch.einsum("knm,kni->kmi", turns, parts).reshape(weight.shape) - weight,
    }
    for file, delta in wanted.items():
        options = {"family": "sd15", "as": "lora"}
        with pytest.raises(UserError) as error:
            converted(file, tmp_path / "o.safetensors", **options)
        assert error.value.code == "lora.not_a_sum"
        told = converted(file, tmp_path / "o.safetensors", base=str(base), **options)
        assert apart({QUERY: delta.double()}, added(tmp_path / "o.safetensors", "sd15")) < 1e-4
        assert told["error"] < 1e-4
    loras = [{"file": str(dora), "strength": 0.5}, {"file": str(turned), "strength": 1.0}]
    done(operation="merge", target=str(tmp_path / "m.safetensors"), loras=loras, family="sd15", base=str(base))
    both = 0.5 * wanted[dora] + wanted[turned]
    assert apart({QUERY: both.double()}, added(tmp_path / "m.safetensors", "sd15")) < 1e-4


def test_a_dora_is_renamed_and_not_put_with_others_into_one(tmp_path: Path) -> None:
    place = ("transformer", "transformer_blocks.0.attn.to_q")
    pair = {DOWN: torch.randn(2, 6), UP: torch.randn(6, 2), ALPHA: torch.tensor(2.0), "dora_scale": torch.rand(1, 6)}
    file = written(tmp_path / "a.safetensors", "flux", {place: pair})
    converted(file, tmp_path / "o.safetensors", to="onetrainer", family="flux")
    stem = "lora_transformer_transformer_blocks_0_attn_to_q"
    assert torch.equal(load_file(tmp_path / "o.safetensors")[f"{stem}.dora_scale"], pair["dora_scale"])
    converted(tmp_path / "o.safetensors", tmp_path / "b.safetensors", to="diffusers", family="flux")
    assert same_tensors(file, tmp_path / "b.safetensors")
    with pytest.raises(UserError) as error:
        converted(file, tmp_path / "k.safetensors", to="kohya", family="flux")
    assert error.value.code == "lora.fused"


def test_pefts_sizes_of_rows_keep_their_name_and_shape(tmp_path: Path) -> None:
    name = f"unet.{QUERY[1]}"
    own = {f"{name}.lora_A.weight": torch.randn(2, 6), f"{name}.lora_B.weight": torch.randn(5, 2),
           f"{name}.lora_magnitude_vector": torch.rand(5)}  # fmt: skip
    save_file(own, tmp_path / "a.safetensors")
    converted(tmp_path / "a.safetensors", tmp_path / "k.safetensors", to="kohya", family="sd15")
    converted(tmp_path / "k.safetensors", tmp_path / "b.safetensors", to="diffusers", family="sd15")
    assert same_tensors(tmp_path / "a.safetensors", tmp_path / "b.safetensors")


def test_layers_without_a_name_are_refused_or_left_out_and_told(tmp_path: Path) -> None:
    """A LoRA of T5, which no family here trains."""
    made = layers(places("flux"), 2, 1.0, 1)
    file = written(tmp_path / "a.safetensors", "flux", made, "kohya")
    strange = {f"lora_te3_encoder_block_0_layer_0_SelfAttention_q.{kind}": one for kind, one in
               {DOWN: torch.randn(2, 6), UP: torch.randn(6, 2), ALPHA: torch.tensor(1.0)}.items()}  # fmt: skip
    save_file({**load_file(file), **strange}, file)
    with pytest.raises(UserError) as error:
        converted(file, tmp_path / "o.safetensors", to="diffusers", family="flux")
    assert error.value.code == "lora.no_name" and "--leave-out" in error.value.remedy
    told = converted(file, tmp_path / "o.safetensors", to="diffusers", family="flux", leave_out=True)
    assert told["left_out"] == ["lora_te3_encoder_block_0_layer_0_SelfAttention_q"]
    converted(file, tmp_path / "p.safetensors", precision="fp16", family="flux")
    assert any("te3" in name for name in load_file(tmp_path / "p.safetensors"))


def test_settings_of_ranks_that_are_no_longer_true_are_not_kept(tmp_path: Path) -> None:
    """diffusers would make layers of the ranks that it says, and refuse the file."""
    name = f"unet.{QUERY[1]}"
    told = {"lora_adapter_metadata": json.dumps({"unet.r": 4, "unet.lora_alpha": 2.0}), "ss_output_name": "x"}
    pair = {f"{name}.lora_A.weight": torch.randn(4, 6), f"{name}.lora_B.weight": torch.randn(5, 4)}
    save_file(pair, tmp_path / "a.safetensors", told)
    converted(tmp_path / "a.safetensors", tmp_path / "o.safetensors", to="diffusers", family="sd15")
    with safe_open(tmp_path / "o.safetensors", "pt") as file:
        metadata = file.metadata()
    assert "lora_adapter_metadata" not in metadata and metadata["ss_output_name"] == "x"
    assert apart(added(tmp_path / "a.safetensors", "sd15"), added(tmp_path / "o.safetensors", "sd15")) < 1e-7


def test_a_family_that_nothing_tells_must_be_said(tmp_path: Path) -> None:
    pair = {"a.lora_A.weight": torch.randn(2, 6), "a.lora_B.weight": torch.randn(5, 2)}
    save_file(pair, tmp_path / "a.safetensors")
    with pytest.raises(UserError) as error:
        converted(tmp_path / "a.safetensors", tmp_path / "o.safetensors", to="kohya")
    assert error.value.code == "lora.family"
