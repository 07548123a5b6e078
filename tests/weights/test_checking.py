"""What ``lora check`` finds in files that are wrong, and that it finds nothing in those that are sound."""

from __future__ import annotations

import json
import resource
from pathlib import Path

import pytest
import torch
from lora_builders import METADATA, tensors_of, write_raw, write_small
from weights.files import entries, write

from lora_tui.errors import UserError
from lora_tui.weights.checking.check import check_lora
from lora_tui.weights.checking.finding import LoraCheck
from lora_tui.weights.names import Layout

DOWN, UP = ".lora_down.weight", ".lora_up.weight"


def codes(check: LoraCheck) -> list[str]:
    """What was found that is more than a note."""
    return [finding.code for finding in check.problems]


def first(tensors: dict[str, torch.Tensor], ending: str) -> str:
    return next(name for name in tensors if name.endswith(ending))


FAMILIES = ("sd15", "sd2", "sdxl", "flux", "flux2", "sd3", "chroma", "zimage", "qwen")
PRECISIONS = (torch.bfloat16, torch.float32, torch.float8_e4m3fn)


@pytest.mark.parametrize(
    ("family", "dtype"), [*((one, torch.float16) for one in FAMILIES), *(("sd15", one) for one in PRECISIONS)]
)
def test_what_a_run_writes_is_sound_in_every_family_and_precision(
    tmp_path: Path, family: str, dtype: torch.dtype
) -> None:
    text = 1 if family in ("sd15", "sd2", "sdxl", "flux") else 0
    version = {"modelspec.architecture": "chroma/lora" if family == "chroma" else ""}
    file = write_small(
        tmp_path / "a.safetensors", tensors_of(family, count=40, text=text, rank=2, dtype=dtype), version
    )
    check = check_lora(file)
    assert (check.family, codes(check)) == (family, [])
    assert check.values is not None and check.values > 1000


def test_numbers_that_are_none(tmp_path: Path) -> None:
    for bad in (float("nan"), float("inf")):
        tensors = tensors_of()
        tensors[first(tensors, DOWN)][0, 0] = bad
        check = check_lora(write_raw(tmp_path / "a.safetensors", tensors))
        assert codes(check) == ["number.none"]
        assert check.problems[0].layers == (first(tensors, DOWN),)
        assert check.problems[0].remedy


def test_numbers_that_are_none_in_eight_bits(tmp_path: Path) -> None:
    tensors = tensors_of(dtype=torch.float8_e5m2)
    name = first(tensors, UP)
    spoiled = tensors[name].float()
    spoiled[0, 0] = float("inf")
    tensors[name] = spoiled.to(torch.float8_e5m2)
    assert codes(check_lora(write_raw(tmp_path / "a.safetensors", tensors))) == ["number.none"]


def test_layers_that_do_nothing_and_layers_that_do_too_much(tmp_path: Path) -> None:
    tensors = tensors_of()
    name = first(tensors, UP)
    tensors[name] = torch.zeros_like(tensors[name])
    check = check_lora(write_raw(tmp_path / "a.safetensors", tensors))
    assert codes(check) == ["layer.dead"]
    assert check.problems[0].layers == (name.removesuffix(UP),)
    nothing = {key: one if key.endswith("alpha") else torch.zeros_like(one) for key, one in tensors_of().items()}
    check = check_lora(write_raw(tmp_path / "b.safetensors", nothing))
    assert [(one.severity, one.code) for one in check.problems] == [("error", "layer.dead")]
    tensors = tensors_of()
    tensors[name] = tensors[name] * 2000
    assert codes(check_lora(write_raw(tmp_path / "c.safetensors", tensors))) == ["layer.exploded"]


def test_how_much_a_layer_adds_is_that_of_the_product(tmp_path: Path) -> None:
    tensors = tensors_of(count=1, text=0, rank=3, alpha=1.5, dtype=torch.float32)
    down, up = tensors[first(tensors, DOWN)].flatten(1), tensors[first(tensors, UP)].flatten(1)
    told = check_lora(write_raw(tmp_path / "a.safetensors", tensors)).numbers
    assert told["norm"] == pytest.approx(float((up @ down * 0.5).norm()), rel=1e-5)


def test_alphas_that_are_missing_zero_or_none(tmp_path: Path) -> None:
    tensors = tensors_of()
    name = first(tensors, ".alpha")
    without = {key: one for key, one in tensors.items() if key != name}
    assert codes(check_lora(write_raw(tmp_path / "a.safetensors", without))) == ["alpha.missing"]
    none = {key: one for key, one in tensors.items() if not key.endswith(".alpha")}
    assert codes(check_lora(write_raw(tmp_path / "b.safetensors", none))) == []
    tensors[name] = torch.tensor(0.0)
    assert codes(check_lora(write_raw(tmp_path / "c.safetensors", tensors))) == ["alpha.zero", "layer.dead"]
    tensors[name] = torch.tensor(float("nan"))
    assert "lora.damaged" in codes(check_lora(write_raw(tmp_path / "d.safetensors", tensors)))
    assert "alpha.high" in codes(check_lora(write_raw(tmp_path / "e.safetensors", tensors_of(alpha=64.0, rank=2))))


def test_keys_that_nobody_reads_and_parts_that_the_family_lacks(tmp_path: Path) -> None:
    tensors = tensors_of()
    tensors["lora_unet_no_such_layer.lora_down.weight"] = torch.ones(4, 8)
    tensors["lora_unet_no_such_layer.lora_up.weight"] = torch.ones(8, 4) * 0.01
    tensors["something.else"] = torch.ones(3)
    tensors["lora_te2_text_model_encoder_layers_0_mlp_fc1.lora_down.weight"] = torch.ones(4, 8)
    tensors["lora_te2_text_model_encoder_layers_0_mlp_fc1.lora_up.weight"] = torch.ones(8, 4) * 0.01
    metadata = {"ss_base_model_version": "sd_v1"}
    found = {one.code: one for one in check_lora(write_raw(tmp_path / "a.safetensors", tensors, metadata)).problems}
    if "part.lacking" in found:  # else the second encoder says that it is for SDXL, of which the UNet's layers are none
        assert found["part.lacking"].layers == ("lora_te2_text_model_encoder_layers_0_mlp_fc1",)
    assert "lora_unet_no_such_layer" in found["key.unread"].layers
    assert found["key.strange"].layers == ("something.else",)


def test_names_of_two_programs_and_layers_twice(tmp_path: Path) -> None:
    both = tensors_of() | tensors_of(layout="diffusers")
    check = check_lora(write_raw(tmp_path / "a.safetensors", both))
    assert {"layout.mixed", "layer.twice"} <= set(codes(check))


def test_half_layers_and_shapes_that_do_not_fit_each_other(tmp_path: Path) -> None:
    tensors = tensors_of(count=6)
    names = [name for name in tensors if name.endswith(UP)]
    del tensors[names[0]]
    tensors[names[1]] = tensors[names[1]][:, :3].contiguous()
    assert {"lora.incomplete", "lora.damaged"} <= set(codes(check_lora(write_raw(tmp_path / "a.safetensors", tensors))))


def test_a_layer_of_other_widths_than_the_model(tmp_path: Path) -> None:
    tensors = tensors_of(count=20)
    name = next(name for name, one in tensors.items() if name.endswith(UP) and one.dim() == 2)
    tensors[name] = torch.ones(7, 4) * 0.01
    check = check_lora(write_raw(tmp_path / "a.safetensors", tensors))
    assert codes(check) == ["shape.wrong"]
    assert check.problems[0].layers == (name.removesuffix(UP),)


@pytest.mark.parametrize(
    ("family", "layout", "program"),
    [("sd15", "diffusers", "A1111"), ("sd3", "kohya", "diffusers"), ("sdxl", "diffusers", "A1111")],
)
def test_names_that_a_program_does_not_read_come_with_the_conversion(
    tmp_path: Path, family: str, layout: Layout, program: str
) -> None:
    check = check_lora(write_small(tmp_path / "a.safetensors", tensors_of(family, count=40, text=0, layout=layout)))
    assert codes(check) == [f"reader.{program.lower()}"]
    assert "lora convert" in check.problems[0].remedy
    assert {one.program: one.reads for one in check.readers}[program] == "no"


def test_what_is_cut_off_or_lies_is_told_with_its_remedy(tmp_path: Path) -> None:
    whole = write_small(tmp_path / "a.safetensors").read_bytes()
    torn = tmp_path / "b.safetensors"
    torn.write_bytes(whole[:-100])
    header = entries({f"x{DOWN}": (4, 8), f"x{UP}": (8, 4)})
    header[f"x{UP}"]["shape"] = [800, 4]
    lying = write(tmp_path / "c.safetensors", header, 128)
    for file, code in ((torn, "weights.torn"), (lying, "weights.header")):
        check = check_lora(file)
        assert codes(check) == [code]
        assert check.problems[0].remedy
    with pytest.raises(UserError):
        check_lora(tmp_path / "not there.safetensors")


def test_hostile_metadata_and_hashes_that_are_another_files(tmp_path: Path) -> None:
    metadata = METADATA | {"ss_output_name": "a\x1b[2Jb", "ss_x": "y" * 2_000_000, "sshs_model_hash": "0" * 64}
    check = check_lora(write_raw(tmp_path / "a.safetensors", tensors_of(), metadata))
    assert codes(check) == ["metadata.controls", "hash.stale"]
    assert [one.code for one in check.findings if one.severity == "note"] == ["metadata.huge"]
    assert "\x1b" not in json.dumps(check.as_dict(), default=str, ensure_ascii=False)


def test_a_file_of_gigabytes_takes_no_memory_of_its_size(tmp_path: Path) -> None:
    size = 400_000
    shapes = {f"lora_unet_x_{n}{end}": shape for n in range(2) for end, shape in ((DOWN, (64, 8)), (UP, (size, 64)))}
    header = entries(shapes)
    file = write(tmp_path / "a.safetensors", header, sum(1024 + size * 128 for _n in range(2)))
    check_lora(write_small(tmp_path / "b.safetensors"))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    check = check_lora(file)
    assert check.values == 2 * (512 + size * 64)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 60_000  # kB; the file has 102 MB
