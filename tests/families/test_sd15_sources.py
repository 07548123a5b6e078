"""Base models and separate VAEs that would be trained wrongly or cannot be loaded, and every kind of VAE that can."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from lora_tui.config.schema import CaptionSection, ModelSection
from lora_tui.errors import UserError
from lora_tui.families.sd15.facts import FACTS
from lora_tui.families.sd15.model import open_model
from lora_tui.families.state_dicts import load_exactly, read_tensors, require_whole
from lora_tui.families.unet.model_file import write_single_file
from lora_tui.families.unet.shape import UNET_PREFIX, VAE_PREFIX, shape_of

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from lora_tui.bench.model import write_model

    return write_model(tmp_path_factory.mktemp("model") / "base", seed=2)


@pytest.fixture(scope="module")
def single(folder: Path) -> Path:
    return write_single_file(folder, folder.parent / "single.safetensors")


def _open(base: Path, **changes: Any) -> Any:
    return open_model(ModelSection(base=str(base), **changes), CaptionSection(), device=CPU, dtype=torch.float32)


def _settings(folder: Path, copy: Path, file: str, **values: Any) -> Path:
    """A copy of ``folder`` whose configuration ``file`` says something else."""
    shutil.copytree(folder, copy)
    path = copy / file
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **values}), "utf-8")
    return copy


def _refused(code: str, base: Path, **changes: Any) -> UserError:
    with pytest.raises(UserError) as caught:
        _open(base, **changes)
    assert caught.value.code == code
    assert caught.value.remedy
    assert caught.value.place
    return caught.value


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"prediction_type": "sample"}, "model.prediction"),
        ({"_class_name": "FlowMatchEulerDiscreteScheduler"}, "model.prediction"),
        ({"_class_name": "EDMEulerScheduler"}, "model.prediction"),
        ({"rescale_betas_zero_snr": True, "prediction_type": "epsilon"}, "model.schedule"),
        ({"beta_schedule": "squaredcos_cap_v2"}, "model.schedule"),
        ({"trained_betas": [0.1, 0.2]}, "model.schedule"),
        ({"num_train_timesteps": 500}, "model.schedule"),
    ],
)
def test_other_schedules_are_refused_at_open(folder: Path, tmp_path: Path, values: dict[str, Any], code: str) -> None:
    _refused(code, _settings(folder, tmp_path / "m", "scheduler/scheduler_config.json", **values))


def test_usual_schedules_are_taken(folder: Path, tmp_path: Path) -> None:
    values = {"beta_schedule": "linear", "rescale_betas_zero_snr": False, "trained_betas": None}
    _open(_settings(folder, tmp_path / "m", "scheduler/scheduler_config.json", **values))
    bare = tmp_path / "bare"
    shutil.copytree(folder, bare, ignore=shutil.ignore_patterns("scheduler"))
    assert _open(bare).scheduler_config()["prediction_type"] == "epsilon"


def test_a_torn_scheduler_configuration_is_an_error(folder: Path, tmp_path: Path) -> None:
    copy = _settings(folder, tmp_path / "m", "scheduler/scheduler_config.json")
    (copy / "scheduler" / "scheduler_config.json").write_text("{", "utf-8")
    _refused("model.folder", copy)


@pytest.mark.parametrize("said", ["tensor", "metadata", "folder"])
def test_a_model_that_says_it_predicts_velocity(folder: Path, single: Path, tmp_path: Path, said: str) -> None:
    if said == "folder":
        values = {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True}
        path = _settings(folder, tmp_path / "m", "scheduler/scheduler_config.json", **values)
    else:
        path = tmp_path / "v.safetensors"
        marks = {"v_pred": torch.zeros(0), "ztsnr": torch.zeros(0)} if said == "tensor" else {}
        spoken = {"modelspec.prediction_type": "v"} if said == "metadata" else None
        save_file({**load_file(single), **marks}, path, spoken)
    model = _open(path)
    assert model.prediction == model.scheduler_config()["prediction_type"] == "v_prediction"
    assert bool(model.scheduler_config().get("rescale_betas_zero_snr")) == (said != "metadata")
    if said == "metadata":
        assert _open(path, prediction="epsilon").prediction == "epsilon"
    assert _open(single, prediction="v_prediction").prediction == "v_prediction"


@pytest.mark.parametrize("channels", [5, 8, 9])
@pytest.mark.parametrize("kind", ["folder", "file", "pickle"])
def test_models_with_more_channels_are_refused(
    folder: Path, single: Path, tmp_path: Path, channels: int, kind: str
) -> None:
    if kind == "folder":
        _refused("model.special", _settings(folder, tmp_path / "m", "unet/config.json", in_channels=channels))
        return
    tensors = load_file(single)
    name = f"{UNET_PREFIX}input_blocks.0.0.weight"
    tensors[name] = torch.zeros(tensors[name].shape[0], channels, 3, 3)
    path = tmp_path / ("m.safetensors" if kind == "file" else "m.ckpt")
    if kind == "file":
        save_file(tensors, path)
    else:
        torch.save(tensors, path)
    error = _refused("model.special", path, allow_pickle=True)
    assert str(channels) in str(error)


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_a_tokenizer_with_more_words_than_the_text_encoder(
    folder: Path, single: Path, tmp_path: Path, kind: str
) -> None:
    if kind == "folder":
        base = _settings(folder, tmp_path / "m", "text_encoder/config.json", vocab_size=49000)
    else:
        tensors = load_file(single)
        name = "cond_stage_model.transformer.text_model.embeddings.token_embedding.weight"
        tensors[name] = tensors[name][:49000].clone()
        base = tmp_path / "m.safetensors"
        save_file(tensors, base)
    with pytest.raises(UserError) as caught:
        _open(base).token_count("a disc")
    assert caught.value.code == ("model.incomplete" if kind == "folder" else "model.tokenizer")
    assert "49000" in caught.value.message


HOLES = {
    "unet": [
        f"{UNET_PREFIX}middle_block.1.norm.weight",
        f"{UNET_PREFIX}time_embed.0.weight",
        f"{UNET_PREFIX}out.2.bias",
    ],
    "vae": [f"{VAE_PREFIX}decoder.mid.block_1.norm1.bias", f"{VAE_PREFIX}quant_conv.weight"],
}


@pytest.mark.parametrize(("part", "name"), [(part, name) for part, names in HOLES.items() for name in names])
def test_a_file_with_a_hole_names_a_tensor(single: Path, tmp_path: Path, part: str, name: str) -> None:
    tensors = load_file(single)
    del tensors[name]
    save_file(tensors, tmp_path / "hole.safetensors")
    model = _open(tmp_path / "hole.safetensors")
    with pytest.raises(UserError) as caught:
        model.part(part)
    assert caught.value.code == "model.incomplete"
    assert f"1 tensors are missing, {name} " in caught.value.message


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_a_folder_with_a_hole_names_a_tensor(folder: Path, tmp_path: Path, part: str) -> None:
    copy = tmp_path / "m"
    shutil.copytree(folder, copy)
    (path,) = (copy / part).glob("*.safetensors")
    tensors = load_file(path)
    name = sorted(name for name in tensors if "norm" in name)[0]
    del tensors[name]
    save_file(tensors, path, {"format": "pt"})
    with pytest.raises(UserError) as caught:
        _open(copy).part(part)
    assert caught.value.code == "model.incomplete"
    assert name.removeprefix("text_model.") in caught.value.message


@pytest.fixture(scope="module")
def vae(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another model, for its VAE."""
    from lora_tui.bench.model import write_model

    return write_model(tmp_path_factory.mktemp("vae") / "other", seed=9) / "vae"


def _is(model: Any, vae: Path) -> bool:
    (path,) = vae.glob("*.safetensors")
    own = model.vae.state_dict()
    return all(
        own[name].dtype == torch.float32 and torch.equal(own[name], tensor.float())
        for name, tensor in load_file(path).items()
    )


def _vae_tensors(vae: Path, *, prefix: str = "") -> dict[str, torch.Tensor]:
    """The VAE's tensors in the original layout."""
    whole = load_file(write_single_file(vae.parent, vae.parent.parent / "whole.safetensors"))
    return {prefix + name.removeprefix(VAE_PREFIX): t for name, t in whole.items() if name.startswith(VAE_PREFIX)}


@pytest.mark.parametrize("style", ["bare", "prefixed", "diffusers", "whole checkpoint", "pickle", "legacy pickle"])
def test_a_vae_in_a_file_of_any_layout_and_width(folder: Path, vae: Path, tmp_path: Path, style: str) -> None:
    path = tmp_path / ("vae.pt" if "pickle" in style else "vae.safetensors")
    tensors = _vae_tensors(vae, prefix=VAE_PREFIX if style == "prefixed" else "")
    match style:
        case "diffusers":
            shutil.copyfile(next(vae.glob("*.safetensors")), path)
        case "whole checkpoint":
            write_single_file(vae.parent, path)
        case "pickle" | "legacy pickle":
            data = {"state_dict": tensors}
            torch.save(data, path, _use_new_zipfile_serialization=style == "pickle")
        case _:
            save_file(tensors, path)
    assert _is(_open(folder, vae=str(path), allow_pickle=True), vae)


def test_a_file_without_a_vae_works_with_one_of_its_own(single: Path, vae: Path, tmp_path: Path) -> None:
    bare = {name: tensor for name, tensor in load_file(single).items() if not name.startswith(VAE_PREFIX)}
    save_file(bare, tmp_path / "bare.safetensors")
    model = _open(tmp_path / "bare.safetensors", vae=str(vae))
    assert _is(model, vae)
    assert model.unet.config.block_out_channels == [32, 32, 64, 64]
    _refused("model.incomplete", tmp_path / "bare.safetensors")


def test_a_vae_file_with_a_hole_and_what_is_no_vae(folder: Path, vae: Path, tmp_path: Path) -> None:
    tensors = _vae_tensors(vae)
    del tensors["encoder.mid.attn_1.q.bias"]
    save_file(tensors, tmp_path / "hole.safetensors")
    save_file({"x": torch.zeros(2)}, tmp_path / "none.safetensors")
    for name in ("hole", "none"):
        with pytest.raises(UserError) as caught:
            _ = _open(folder, vae=str(tmp_path / f"{name}.safetensors")).vae
        assert caught.value.code == "model.incomplete"


def test_a_vae_folder_in_half_precision_below_the_home_folder(
    folder: Path, vae: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(vae, tmp_path / "vae")
    (path,) = (tmp_path / "vae").glob("*.safetensors")
    path.rename(path.with_name("diffusion_pytorch_model.fp16.safetensors"))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert _is(_open(folder, vae="~/vae"), vae)
    assert _is(_open(folder, vae=str(vae.parent)), vae)


def test_paths_below_the_home_folder_are_found(folder: Path, single: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder.parent))
    for name in ("~/base", "~/single.safetensors"):
        assert shape_of(FACTS, name).unet_channels == (32, 32, 64, 64)
        assert _open(Path(name)).source.path.parent == folder.parent
    _refused("model.missing", Path("~no-such-user/model.safetensors"))
    with pytest.raises(UserError):
        _ = _open(folder, vae="~no-such-user").vae


def test_a_pickled_vae_folder_is_read_only_when_allowed(folder: Path, vae: Path, tmp_path: Path) -> None:
    shutil.copytree(vae, tmp_path / "vae")
    (path,) = (tmp_path / "vae").glob("*.safetensors")
    torch.save(load_file(path), path.with_suffix(".bin"))
    path.unlink()
    with pytest.raises(UserError) as caught:
        _ = _open(folder, vae=str(tmp_path / "vae")).vae
    assert caught.value.code == "model.pickle"
    assert _is(_open(folder, vae=str(tmp_path / "vae"), allow_pickle=True), vae)
    with pytest.raises(UserError) as caught:
        _ = _open(folder, vae=str(tmp_path)).vae
    assert caught.value.place


def test_a_pickle_of_an_old_torch_is_read(tmp_path: Path) -> None:
    path = tmp_path / "old.ckpt"
    tensors = {"a": torch.arange(4.0), "b": torch.ones(2, 2).half()}
    torch.save({"state_dict": tensors, "epoch": 3}, path, _use_new_zipfile_serialization=False)
    read = read_tensors(path, pickled=True)
    assert all(torch.equal(read[name], tensor) for name, tensor in tensors.items())
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(UserError):
        read_tensors(path, pickled=True)


def test_modules_are_filled_or_refused() -> None:
    module = torch.nn.Linear(2, 2)
    whole = {"weight": torch.ones(2, 2), "bias": torch.ones(2), "logit_scale": torch.ones(())}
    load_exactly(module, whole, optional_prefix="x.", place="here")
    assert torch.equal(module.weight, whole["weight"])
    for tensors, word in (({"weight": whole["weight"]}, "bias"), ({**whole, "bias": torch.ones(3)}, "shape")):
        with pytest.raises(UserError, match=word):
            load_exactly(module, tensors, optional_prefix="x.", place="here")
    with pytest.raises(UserError, match="weight"):
        require_whole(torch.nn.Linear(2, 2, bias=False, device="meta"), "here")
