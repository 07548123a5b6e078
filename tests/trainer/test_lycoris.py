"""LyCORIS' kinds on whole models: they learn, their files hold every layer, and draw what was trained."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from lycoris.config import PRESET
from lycoris.functional.general import weight_decompose
from lycoris.kohya import LycorisNetworkKohya
from lycoris.modules.loha import LohaModule
from safetensors.torch import save_file
from torch import Tensor, nn

from lora_tui.bench.model import write_model
from lora_tui.bench.sd3_model import write_sd3_model
from lora_tui.config.estimate import adapted_layers, trained_parameters
from lora_tui.config.layers import trained
from lora_tui.config.load import parse_config
from lora_tui.config.schema import CaptionSection, ModelSection, NetworkSection, NoiseSection
from lora_tui.config.validate import check_config
from lora_tui.errors import UserError
from lora_tui.families import open_model
from lora_tui.families.protocol import Framing, Storage, TargetModule, latent_shape
from lora_tui.families.stored import put, put_anew
from lora_tui.sampling.lora import apply_lora
from lora_tui.trainer.adapters.kinds import attach
from lora_tui.trainer.adapters.start import start_from
from lora_tui.trainer.objectives.losses import loss_for
from lora_tui.trainer.objectives.objective import objective_for
from lora_tui.trainer.step import StepFunction
from lora_tui.weights.algebra import loha, lokr
from lora_tui.weights.effects import Effect
from lora_tui.weights.header.loras import lora_info
from lora_tui.weights.lora_file import file_tensors
from lora_tui.weights.names.shapes import Adapted, file_shapes
from lora_tui.weights.reading import read_lora

CPU = torch.device("cpu")
KINDS: dict[str, dict[str, Any]] = {
    "loha": {"all_convolutions": True, "tucker": True, "conv_rank": 2},
    "lokr": {"all_convolutions": True, "factor": 4},
    "glora": {},
    "ia3": {},
    "oft": {"rank": 8},
    "boft": {"rank": 8},
    "full": {},
}
RATES = {"loha": 0.05, "lokr": 0.03, "ia3": 0.5, "oft": 0.1, "boft": 0.1, "full": 3e-3}

TOLD: dict[str, tuple[dict[str, Tensor], Tensor]] = {}


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("bases")
    return {"sd15": write_model(root / "sd15", seed=1), "sd3": write_sd3_model(root / "sd3", seed=1)}


def opened(family: str, base: Path) -> Any:
    section = ModelSection(base=str(base), family=family)  # type: ignore[arg-type]
    return open_model(section, CaptionSection(t5_tokens=128), device=CPU, dtype=torch.float32)


def learning(family: str, base: Path, network: NetworkSection, updates: int) -> tuple[Any, list[float], Tensor]:
    """The adapter, its losses, and what the model predicts with it."""
    model = opened(family, base)
    targets = trained(network, model.targets(text_encoder=False, convolutions=network.convolutions))
    adapter = attach(network, model.adapted_modules(text_encoder=False), targets, seed=1, device=CPU)
    objective = objective_for(model, NoiseSection())
    function = StepFunction(model, objective, loss_for(NoiseSection(), objective.ratios))
    told, latents = conditioned(model)
    noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(4))
    timesteps = objective.as_tensor(objective.levels(2))
    optimizer = torch.optim.AdamW(adapter.groups({model.facts.denoiser: RATES.get(network.type, 1e-2)}))
    losses = []
    for _update in range(updates):
        loss = function.error(latents, noise, timesteps, told).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return adapter, losses, predicted(model)


def conditioned(model: Any) -> tuple[dict[str, Tensor], Tensor]:
    """Captions and latents; encoders learn nowhere here, so that each family's are loaded once."""
    if model.facts.name in TOLD:
        return TOLD[model.facts.name]
    texts = ["a red disc", "something blue"]
    with torch.no_grad():
        told = model.encode_text(model.tokenize(texts, model.text_length(texts)))
    told |= model.picture_conditioning([Framing((64, 64), (0, 0), (64, 64))] * 2)
    latents = torch.randn(2, *latent_shape(model.facts, 64, 64), generator=torch.Generator().manual_seed(3))
    return TOLD.setdefault(model.facts.name, (told, latents))


@torch.no_grad()
def predicted(model: Any) -> Tensor:
    told, latents = conditioned(model)
    found: Tensor = model.predict(latents, torch.tensor([500.0, 40.0]), told)
    return found


PAIRS = [
    pytest.param(kind, family, marks=[] if family == "sd3" or kind == "loha" else pytest.mark.slow)
    for kind in KINDS
    for family in ("sd15", "sd3")
]


@pytest.mark.parametrize(("kind", "family"), PAIRS)
def test_it_learns_and_its_file_draws_what_was_trained(
    kind: str, family: str, bases: dict[str, Path], tmp_path: Path
) -> None:
    settings = {"rank": 4, "alpha": 2.0, "conv_alpha": 1.0, **KINDS[kind]}
    network = NetworkSection(type=kind, text_encoder=False, **settings)  # type: ignore[arg-type]
    adapter, losses, wanted = learning(family, bases[family], network, 8)
    assert losses[-1] < 0.97 * losses[0], losses
    tensors = file_tensors(family, adapter.export(), dtype=torch.float32)
    save_file(tensors, tmp_path / "lora.safetensors", metadata={"ss_base_model_version": family})
    model = opened(family, bases[family])
    plain = predicted(model)
    lora = apply_lora(model, tmp_path / "lora.safetensors")
    assert lora.layers == len(adapter.effects) == lora_info(tmp_path / "lora.safetensors").modules
    assert torch.allclose(predicted(model), wanted, atol=1e-5)
    lora.strength = 0.0
    assert torch.equal(predicted(model), plain)
    lora.strength = 1.0
    lora.remove()
    assert torch.equal(predicted(model), plain)
    info = lora_info(tmp_path / "lora.safetensors")
    assert info.kind == ("oft" if kind == "boft" else kind)
    values = {"model": {"base": str(bases[family]), "family": family}, "network": network.model_dump()}
    config = parse_config(values, base=None, place="test")
    assert trained_parameters(config) == sum(tensor.numel() for tensor in adapter.tensors().values())


def test_nothing_is_added_before_the_first_update(bases: dict[str, Path]) -> None:
    plain = predicted(opened("sd3", bases["sd3"]))
    for kind, settings in KINDS.items():
        network = NetworkSection(type=kind, text_encoder=False, **{"rank": 4, **settings})  # type: ignore[arg-type]
        _adapter, _losses, before = learning("sd3", bases["sd3"], network, 0)
        assert torch.allclose(before, plain, atol=1e-5), kind


#: LoHa and LoKr with sizes of columns, a factor that is learned, or both.
SIZED: dict[str, dict[str, Any]] = {
    "loha sizes": {"type": "loha", "dora": True},
    "loha factor": {"type": "loha", "scalar": True},
    "lokr both": {"type": "lokr", "dora": True, "scalar": True, "factor": 2, "decompose_both": True, "rank": 1},
    "lokr tucker": {"type": "lokr", "dora": True, "scalar": True, "factor": 2, "all_convolutions": True, "tucker": True,
                    "conv_rank": 1},
}  # fmt: skip


class Wide(nn.Module):
    """A linear layer and a wide convolution of 16 channels."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.proj, self.conv = nn.Linear(16, 24), nn.Conv2d(16, 24, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        own: Tensor = self.conv(x)
        return own + self.proj(x.movedim(1, -1)).movedim(-1, 1)


WIDE = (
    TargetModule("unet", "proj", 16, 24),
    TargetModule("unet", "conv", 16, 24, convolution=True, kernel=3),
)


def attached(settings: dict[str, Any]) -> tuple[Wide, Any]:
    network = NetworkSection(**{"rank": 2, "alpha": 3.0, **settings})
    module = Wide().requires_grad_(False)
    return module, attach(network, {"unet": module}, WIDE, seed=3, device=CPU)


@pytest.mark.parametrize("name", SIZED)
def test_sizes_and_factors_are_trained_and_what_the_file_says_is_what_was_trained(name: str, tmp_path: Path) -> None:
    """By hand, as LyCORIS merges: (W + dW) with its columns brought to their sizes; then from the file."""
    settings, x = SIZED[name], torch.randn(2, 16, 5, 4)
    plain = Wide()(x)
    module, adapter = attached(settings)
    assert torch.allclose(module(x), plain, atol=1e-5), "nothing is added at first"
    optimizer = torch.optim.AdamW(adapter.groups({"unet": 0.05}))
    before = {key: tensor.detach().clone() for key, tensor in adapter.tensors().items()}
    for _update in range(3):
        optimizer.zero_grad()
        (module(x) - 2 * plain.detach()).square().mean().backward()
        optimizer.step()
    assert not [key for key, tensor in adapter.tensors().items() if torch.equal(tensor, before[key])]
    network = adapter.section
    planned = (
        Adapted("unet", t.path, network.size_of(t.kernel)[0], t.inputs, t.outputs,
                t.kernel if t.convolution else None, form=network.form)
        for t in WIDE
    )  # fmt: skip
    assert sum(layer.values for layer in planned) == sum(tensor.numel() for tensor in adapter.tensors().values())
    live = module(x)
    assert not torch.allclose(live, plain, atol=1e-2)
    export, expected = adapter.export(), Wide()
    for (_part, path), tensors in export.items():
        assert "scalar" not in tensors, "files hold it multiplied in"
        weight = expected.get_submodule(path).weight
        update = (loha if settings["type"] == "loha" else lokr)(tensors).reshape(weight.shape)
        whole = weight + update * adapter.effects["unet", path].scale
        if settings.get("dora"):
            whole = weight_decompose(whole, tensors["dora_scale"], wd_on_out=False)
        with torch.no_grad():
            weight.copy_(whole)
    assert torch.allclose(live, expected(x), atol=1e-5)
    path = tmp_path / "lora.safetensors"
    save_file(file_tensors("sd15", export, dtype=torch.float32), path)
    other = Wide()
    for stem, layer in read_lora(path).others.items():
        Effect(layer.kind, layer.tensors, scale=layer.scale).attach(
            other.get_submodule(stem.removeprefix("lora_unet_"))
        )
    assert torch.allclose(live, other(x), atol=1e-5)
    with adapter.at_strength(0):
        assert torch.equal(module(x), plain)
    arguments = adapter.metadata()["ss_network_args"]
    assert arguments.get("use_scalar") == ("True" if settings.get("scalar") else None)
    assert not NetworkSection(type="oft", dora=True).decomposed, "hidden where it has no meaning"
    assert arguments.get("wd_on_output") == ("False" if settings.get("dora") else None)


def test_a_factor_that_older_files_keep_beside_the_matrices_counts(tmp_path: Path) -> None:
    _module, adapter = attached({"type": "loha"})
    tensors = file_tensors("sd15", adapter.export(), dtype=torch.float32)
    save_file({**tensors, "lora_unet_proj.scalar": torch.tensor(0.25)}, tmp_path / "old.safetensors")
    found = read_lora(tmp_path / "old.safetensors").others
    assert (found["lora_unet_proj"].scale, found["lora_unet_conv"].scale) == (1.5 * 0.25, 1.0)
    assert "lora_unet_proj.scalar" in found["lora_unet_proj"].names


STARTS: dict[str, dict[str, Any]] = {
    **SIZED,
    "loha": {"type": "loha", "all_convolutions": True, "tucker": True},
    "lokr": {"type": "lokr", "full_matrix": True},
    **{kind: {"type": kind} for kind in ("glora", "full")},
    "lokr unbalanced": {"type": "lokr", "factor": 2, "unbalanced": True},
    "loha stabilised": {"type": "loha", "rslora": True},
    "oft": {"type": "oft", "rank": 4},
    "boft": {"type": "boft", "rank": 4, "constraint": 0.002, "rescaled": True},
}


@pytest.mark.parametrize("name", STARTS)
def test_a_run_goes_on_from_a_file_of_its_kind_whatever_its_alpha(name: str, tmp_path: Path) -> None:
    """What is drawn at the start is what the file draws; its alpha is another."""
    settings, x = STARTS[name], torch.randn(2, 16, 5, 4)
    module, adapter = attached(settings)
    generator = torch.Generator().manual_seed(6)
    with torch.no_grad():
        for tensor in adapter.tensors().values():
            tensor.add_(torch.randn(tensor.shape, generator=generator) * 0.2)
    wanted, path = module(x), tmp_path / "lora.safetensors"
    assert not torch.allclose(wanted, Wide()(x), atol=1e-2)
    save_file(file_tensors("sd15", adapter.export(), dtype=torch.float32), path)
    other, fresh = attached({"alpha": 1.0, "conv_alpha": 1.0, **settings})
    assert start_from(fresh, str(path), "sd15") == []
    assert torch.allclose(other(x), wanted, atol=1e-5)
    if settings.get("dora"):
        _module, bare = attached({**settings, "dora": False})
        with pytest.raises(UserError) as caught:
            start_from(bare, str(path), "sd15")
        assert caught.value.code == "lora.dora"
    if name == "loha":
        sized, found = attached({**settings, "dora": True})
        start_from(found, str(path), "sd15")
        assert torch.allclose(sized(x), wanted, atol=1e-5), "with the sizes that the weights have with it"


def test_rank_stabilised_updates_have_the_alpha_in_the_file_that_others_need() -> None:
    """LyCORIS' LoHa keeps alpha times the root of the rank, and divides by the rank; its GLoRA should, too."""
    for kind in ("loha", "glora"):
        _module, adapter = attached({"type": kind, "rslora": True})
        module = LohaModule("x", nn.Linear(16, 24), 1.0, 2, 3.0, rs_lora=True)
        effect, tensors = adapter.effects["unet", "proj"], adapter.export()["unet", "proj"]
        assert effect.scale == pytest.approx(3.0 / 2**0.5) == pytest.approx(module.scale)
        assert float(tensors["alpha"]) == pytest.approx(float(module.alpha))


@pytest.mark.parametrize(("preset", "theirs"), [("all", "full"), ("full-lin", "full-lin"), ("attn-mlp", "attn-mlp"),
                                                ("convblock-only", "unet-convblock-only")])  # fmt: skip
def test_presets_name_the_layers_that_they_name_in_lycoris(preset: Any, theirs: str, bases: dict[str, Path]) -> None:
    model = opened("sd15", bases["sd15"])
    unet = model.adapted_modules(text_encoder=False)["unet"]
    preset_of = {**PRESET[theirs], "unet_target_name": []}  # the ends of the UNet, which sd-scripts leaves alone
    preset_of["unet_target_module"] = [name for name in preset_of["unet_target_module"] if name != "TimestepEmbedding"]
    LycorisNetworkKohya.apply_preset(preset_of)
    logging.disable(logging.WARNING)
    found = LycorisNetworkKohya(None, unet, lora_dim=2, conv_lora_dim=2, network_module="locon")
    logging.disable(logging.NOTSET)
    names = {lora.lora_name.removeprefix("lora_unet_") for lora in found.unet_loras}
    network = NetworkSection(type="locon", targets=preset)
    own = trained(network, model.targets(text_encoder=False, convolutions=True))
    assert {target.path.replace(".", "_") for target in own} == names


def test_attention_alone_is_that_of_every_part_and_presets_that_leave_nothing_are_refused(
    bases: dict[str, Path],
) -> None:
    own = trained(NetworkSection(targets="attn-only"), opened("sd3", bases["sd3"]).targets(text_encoder=True))
    assert {target.path.split(".")[-2 if target.path[-1].isdigit() else -1] for target in own} == {
        *("to_q", "to_k", "to_v", "to_out", "add_q_proj", "add_k_proj", "add_v_proj", "to_add_out"),
        *("q_proj", "k_proj", "v_proj", "out_proj"),
    }

    def codes(family: str, **network: Any) -> set[str]:
        values = {"model": {"base": str(bases[family]), "family": family}, "network": network}
        found = check_config(parse_config(values, base=None, place="test"))
        return {finding.code for finding in found if finding.code.startswith("network.targets")}

    assert codes("sd15", targets="attn-only") == codes("sd15", type="locon", targets="full-lin") == set()
    assert codes("sd15", targets="convblock-only") == codes("sd3", targets="convblock-only") == {"network.targets_none"}
    assert codes("sd15", type="locon", targets="convblock-only") == {"network.targets_text"}
    assert codes("sd15", type="locon", targets="convblock-only", text_encoder=False) == set()


@pytest.mark.parametrize("streamed", [0, 1])
@pytest.mark.parametrize("kind", ["lora", *KINDS])
def test_a_base_that_is_packed_in_the_middle_keeps_what_learns_on_it(kind: Any, streamed: int) -> None:
    """It gives what a base gives that was packed from the beginning, and every tensor has a gradient."""
    x = torch.randn(2, 16, 5, 4)

    def built(storage: Storage) -> tuple[Wide, Any]:
        module = put(Wide(), storage, CPU, layers={"proj"}, blocks=[])
        network = NetworkSection(type=kind, rank=4, alpha=3.0)
        adapter: Any = attach(network, {"unet": module}, WIDE[:1], seed=3, device=CPU)
        generator = torch.Generator().manual_seed(6)
        with torch.no_grad():
            for tensor in adapter.tensors().values():
                tensor.add_(torch.randn(tensor.shape, generator=generator) * 0.2)
        return module, adapter

    module, adapter = built(Storage())
    module.streamable = (module.proj,)  # type: ignore[assignment]
    plain = module(x).detach()
    put_anew(module, Storage("int8", streamed), CPU)
    found = module(x)
    assert torch.equal(found, built(Storage("int8"))[0](x)) and not torch.equal(found, plain)
    found.sum().backward()
    assert all(tensor.grad is not None for tensor in adapter.tensors().values())
    with adapter.at_strength(0):
        assert not torch.allclose(module(x), found, atol=1e-2)


def test_blocks_that_a_file_bounds_begin_within_the_bound(tmp_path: Path) -> None:
    module, adapter = attached({"type": "oft", "rank": 4})
    with torch.no_grad():
        for tensor in adapter.tensors().values():
            tensor.normal_()
    tensors = file_tensors("sd15", adapter.export(), dtype=torch.float32)
    save_file(tensors | {"lora_unet_proj.alpha": torch.tensor(0.01)}, tmp_path / "bound.safetensors")
    plain, x = Wide(), torch.randn(1, 16, 5, 4)
    for stem, layer in read_lora(tmp_path / "bound.safetensors").others.items():
        Effect(layer.kind, layer.tensors).attach(plain.get_submodule(stem.removeprefix("lora_unet_")))
    assert not torch.allclose(plain(x), module(x), atol=1e-3)
    start_from(adapter, str(tmp_path / "bound.safetensors"), "sd15")
    assert torch.allclose(plain(x), module(x), atol=1e-5)


def test_a_file_that_cannot_be_gone_on_from_is_refused_before_anything_loads(
    bases: dict[str, Path], tmp_path: Path
) -> None:
    def file(name: str, **settings: Any) -> Path:
        values = {"model": {"base": str(bases["sd15"])}, "network": {"rank": 4, "text_encoder": False, **settings}}
        shapes = file_shapes("sd15", "auto", adapted_layers(parse_config(values, base=None, place="test")))
        save_file({name: torch.zeros(shape) for name, shape in shapes.items()}, tmp_path / name)
        return tmp_path / name

    def found(path: Path, **network: Any) -> list[tuple[str, str, str]]:
        values = {
            "model": {"base": str(bases["sd15"])},
            "datasets": [{"path": str(tmp_path)}],
            "network": {"rank": 4, "text_encoder": False, "start_from": str(path), **network},
        }
        checked = check_config(parse_config(values, base=None, place="test"))
        return [(one.field, one.code, one.remedy) for one in checked if one.code.startswith("network.start")]

    lokr = file("lokr.safetensors", type="lokr", factor=4, decompose_both=True, rank=1)
    assert found(lokr, type="lokr", factor=4, decompose_both=True, rank=1) == []
    ((field, code, remedy),) = found(lokr)
    assert (field, code, "network.type to lokr" in remedy) == ("network.start_from", "network.start_kind", True)
    ((field, code, remedy),) = found(lokr, type="lokr", rank=2)
    assert (field, code) == ("network.rank", "network.start_shapes")
    wanted = dict(part.split(" = ") for part in remedy.removeprefix("Set ").rstrip(".").split(", "))
    changed = {key.removeprefix("network."): value for key, value in wanted.items()}
    assert changed == {"rank": "1", "factor": "4", "decompose_both": "true"}
    boft = file("boft.safetensors", type="boft", rank=8)
    ((_field, _code, remedy),) = found(boft, type="oft", rank=8)
    assert "network.type to boft" in remedy
    assert found(boft, type="boft", rank=8) == []
    sized = file("sized.safetensors", type="loha", dora=True, all_convolutions=True, conv_rank=2, tucker=True)
    assert [code for _field, code, _remedy in found(sized, type="loha")] == ["network.start_dora"]
    found_settings = {"type": "loha", "dora": True, "all_convolutions": True}
    assert [remedy for *_rest, remedy in found(sized, **found_settings)] == [
        "Set network.conv_rank = 2, network.tucker = true."
    ]
    save_file({"lora_unet_conv_norm_out.w_norm": torch.zeros(32)}, tmp_path / "norm.safetensors")
    assert [code for _f, code, _r in found(tmp_path / "norm.safetensors", type="full")] == ["network.start_unreadable"]


def test_sizes_that_a_type_does_not_have_are_told(bases: dict[str, Path]) -> None:
    given = {"rank": 16, "alpha": 48.0, "all_convolutions": True, "conv_rank": 4, "conv_alpha": 16.0}
    alphas, ranks = {"network.alpha", "network.conv_alpha"}, {"network.rank", "network.conv_rank"}
    for kind in KINDS:
        values = {"model": {"base": str(bases["sd15"])}, "network": {"type": kind, **given}}
        found = check_config(parse_config(values, base=None, place="test"))
        told = {finding.field for finding in found if finding.code == "config.no_effect"}
        above = {finding.field for finding in found if finding.code == "network.alpha_above_rank"}
        silent = {"ia3": alphas | ranks, "full": alphas | ranks, "oft": alphas, "boft": alphas}.get(kind, set())
        assert told == silent and above == (set() if silent else alphas), kind


def test_names_that_cannot_hold_it_are_refused_before_anything_loads(bases: dict[str, Path], tmp_path: Path) -> None:
    def codes(family: str, layout: str) -> set[str]:
        values = {
            "model": {"base": str(bases.get(family, "")), "family": family},
            "datasets": [{"path": str(tmp_path)}],
            "network": {"type": "lokr", "rank": 320},
            "saving": {"layout": layout},
        }
        found = check_config(parse_config(values, base=None, place="test"))
        return {finding.code for finding in found if finding.field.startswith(("network.", "saving."))}

    assert codes("sd15", "kohya") == codes("sd3", "auto") == set()
    assert codes("sd15", "diffusers") == codes("flux", "kohya") == {"saving.kind_layout"}
