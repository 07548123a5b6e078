"""SD1.x from every kind of source: the same numbers come out, and what does not belong is refused."""

from __future__ import annotations

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
from lora_tui.families.text_chunks import chunk_ids, join_chunks
from lora_tui.families.unet.model_file import write_single_file

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from lora_tui.bench.model import write_model

    return write_model(tmp_path_factory.mktemp("model") / "base", seed=2)


@pytest.fixture(scope="module")
def single(folder: Path) -> Path:
    return write_single_file(folder, folder.parent / "single.safetensors")


def _open(base: Path, **changes: Any) -> Any:
    captions = CaptionSection(max_tokens=changes.pop("max_tokens", 225))
    return open_model(ModelSection(base=str(base), **changes), captions, device=CPU, dtype=torch.float32)


def _told(model: Any, text: str, length: int = 0) -> dict[str, torch.Tensor]:
    """The conditioning of ``text``, in as many chunks as it needs or ``length``."""
    return model.encode_text(model.tokenize([text], length or model.text_length([text])))


def _outputs(model: Any) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    pixels = torch.randn(1, 3, 64, 64, generator=generator)
    noise = torch.randn(1, 4, 8, 8, generator=generator)
    text = _told(model, "a blob, disc")
    latents = model.encode_image(pixels, noise)
    with torch.no_grad():
        predicted = model.predict(latents, torch.tensor([500]), text)
    return [text["text"], latents, model.decode_latents(latents), predicted]


@pytest.fixture(scope="module")
def wanted(folder: Path) -> list[torch.Tensor]:
    """What the folder's model makes of the same numbers."""
    return _outputs(_open(folder))


def _same(wanted: list[torch.Tensor], other: Path, **changes: Any) -> bool:
    pairs = zip(wanted, _outputs(_open(other, **changes)), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_a_single_file_gives_what_the_folder_gives(wanted: list[torch.Tensor], single: Path) -> None:
    assert _same(wanted, single)


@pytest.mark.parametrize("style", ["bare names", "no position_ids", "half position_ids"])
def test_field_files_with_odd_text_encoders(
    wanted: list[torch.Tensor], single: Path, tmp_path: Path, style: str
) -> None:
    tensors = load_file(single)
    if style == "bare names":
        tensors = {name.replace(".text_model.", "."): tensor for name, tensor in tensors.items()}
    if style == "half position_ids":
        name = "cond_stage_model.transformer.text_model.embeddings.position_ids"
        tensors[name] = torch.arange(77).half()[None]
    path = tmp_path / "field.safetensors"
    save_file(tensors, path)
    assert _same(wanted, path)


def test_a_pickle_is_refused_and_read_only_when_allowed(
    wanted: list[torch.Tensor], single: Path, tmp_path: Path
) -> None:
    path = tmp_path / "model.ckpt"
    torch.save({"state_dict": load_file(single)}, path)
    with pytest.raises(UserError, match="pickle") as caught:
        _open(path)
    assert "allow_pickle" in caught.value.remedy
    assert _same(wanted, path, allow_pickle=True)


def test_a_pickle_with_a_program_in_it_is_not_run(tmp_path: Path) -> None:
    trap = tmp_path / "sprung"

    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (trap,))

    path = tmp_path / "model.ckpt"
    torch.save({"state_dict": Trap()}, path)
    with pytest.raises(UserError) as caught:
        _told(_open(path, allow_pickle=True), "x")
    assert caught.value.code == "model.pickle"
    assert not trap.exists()


def test_what_is_no_checkpoint_of_the_family_is_refused(folder: Path, single: Path, tmp_path: Path) -> None:
    unet_only = tmp_path / "unet.safetensors"
    save_file({n: t for n, t in load_file(single).items() if n.startswith("model.")}, unet_only)
    lora = tmp_path / "lora.safetensors"
    save_file({"lora_unet_mid_block.lora_up.weight": torch.zeros(4, 2)}, lora)
    torn = tmp_path / "torn.safetensors"
    torn.write_bytes(single.read_bytes()[:5000])
    text = tmp_path / "notes.txt"
    text.write_text("no model")
    for path in (unet_only, lora, torn, text, tmp_path / "missing.safetensors", tmp_path):
        with pytest.raises(UserError) as caught:
            _outputs(_open(path))
        assert caught.value.remedy
        assert caught.value.place


def test_a_checkpoint_with_a_tensor_missing_names_it(single: Path, tmp_path: Path) -> None:
    tensors = load_file(single)
    del tensors["cond_stage_model.transformer.text_model.encoder.layers.1.mlp.fc1.bias"]
    path = tmp_path / "hole.safetensors"
    save_file(tensors, path)
    with pytest.raises(UserError, match=r"layers\.1\.mlp\.fc1\.bias"):
        _told(_open(path), "x")


def test_a_separate_vae_is_used(folder: Path, wanted: list[torch.Tensor], tmp_path: Path) -> None:
    from lora_tui.bench.model import write_model

    other = write_model(tmp_path / "other", seed=9)
    vae = tmp_path / "vae"
    shutil.copytree(other / "vae", vae)
    own, replaced, theirs = wanted, _outputs(_open(folder, vae=str(vae))), _outputs(_open(other))
    assert torch.equal(replaced[1], theirs[1])
    assert not torch.equal(replaced[1], own[1])
    assert torch.equal(replaced[0], own[0])


def test_clip_skip_reads_an_earlier_layer_through_the_final_norm(folder: Path) -> None:
    from transformers import CLIPTextModel, CLIPTokenizer

    encoder = CLIPTextModel.from_pretrained(folder, subfolder="text_encoder").eval().float()
    tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
    ids = tokenizer("a blob", padding="max_length", max_length=77, return_tensors="pt").input_ids
    with torch.no_grad():
        states = encoder(ids, output_hidden_states=True)
        one = _told(_open(folder, clip_skip=1), "a blob")["text"]
        two = _told(_open(folder, clip_skip=2), "a blob")["text"]
    norm = getattr(encoder, "text_model", encoder).final_layer_norm
    assert torch.allclose(one, states.last_hidden_state, atol=1e-6)
    assert torch.allclose(two, norm(states.hidden_states[-2]), atol=1e-6)


def test_long_captions_are_chunked_and_cut(folder: Path) -> None:
    model = _open(folder)
    words = ", ".join(["disc"] * 60)  # 120 tokens
    assert model.text_length([words]) == 2
    assert _told(model, words)["text"].shape[1] == 152
    assert _told(model, "disc", length=3)["text"].shape[1] == 227
    short = _open(folder, max_tokens=75)
    assert _told(short, words)["text"].shape[1] == 77


def test_chunks_have_their_own_ends() -> None:
    ids = chunk_ids([list(range(100)), []], 2, start=-1, end=-2, pad=-3)
    assert ids.shape == (2, 2, 77)
    assert ids[0, 0].tolist() == [-1, *range(75), -2]
    assert ids[0, 1].tolist() == [-1, *range(75, 100), -2] + [-3] * 50
    assert ids[1, 1].tolist() == [-1, -2] + [-3] * 75
    joined = join_chunks(ids.float()[..., None])[..., 0]
    assert joined.shape == (2, 152)
    assert joined[0, 0] == -1
    assert joined[0, 1:101].tolist() == list(range(75)) + list(range(75, 100))


def test_facts_count_what_the_model_has(folder: Path) -> None:
    model = _open(folder)
    counted = FACTS.part_parameters(folder)
    for part in ("unet", "vae", "text_encoder"):
        assert counted[part] == sum(p.numel() for p in model.part(part).parameters())
    layers = dict(model.unet.named_modules())
    targets = FACTS.targets(folder, text_encoder=False, convolutions=True)
    for target in targets:
        weight = layers[target.path].weight
        assert (weight.shape[1], weight.shape[0]) == (target.inputs, target.outputs)
        assert weight.shape[2:] == ((target.kernel,) * 2 if target.convolution else ())
    others = layers.keys() - {target.path for target in targets}
    left = {name for name in others if isinstance(layers[name], torch.nn.Linear | torch.nn.Conv2d)}
    assert left == {"conv_in", "conv_out", "time_embedding.linear_1", "time_embedding.linear_2"}


def test_the_published_size() -> None:
    assert FACTS.part_parameters() == {"unet": 859_520_964, "text_encoder": 123_060_480, "vae": 83_653_863}
    assert len(FACTS.targets()) == 264
    assert len(FACTS.targets(text_encoder=False, convolutions=True)) == 192 + 86
    values = sum(target.parameters(32) for target in FACTS.targets())
    assert values * 2 + 264 * 2 == pytest.approx(37.7e6, rel=0.01)  # bytes in fp16
