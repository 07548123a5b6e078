"""Florence-2 and BLIP with small random weights: what they write is what transformers writes with the same files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from caption_folders import opened
from PIL import Image
from tagger_builders import make_images

from lora_tui.errors import UserError
from lora_tui.tagging.clean import one_line
from lora_tui.tagging.models import resolve
from lora_tui.tagging.request import ModelChoice, Prose, Request
from lora_tui.tagging.run import tag_dataset
from lora_tui.tagging.tagger import Device

SIDE = 64
SENTENCES = [
    "Describe in detail what is shown in the image.",
    "What does the image describe?",
    "Describe with a paragraph what is shown in the image.",
    "a photo of a cat and a dog in the park",
] * 4


def make_tokenizer(folder: Path, **special: str) -> Any:
    """A tokenizer of a few hundred pieces, trained on the sentences."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    marks = ["<s>", "<pad>", "</s>", "<unk>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=marks, initial_alphabet=alphabet, show_progress=False)
    made.train_from_iterator(SENTENCES, trainer)
    made.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    return PreTrainedTokenizerFast(
        tokenizer_object=made, bos_token="<s>", eos_token="</s>", pad_token="<pad>", unk_token="<unk>",
        sep_token="</s>", cls_token="<s>", extra_special_tokens=special, model_max_length=512,
    )  # fmt: skip


def make_florence(folder: Path) -> Path:
    """The smallest Florence-2 that there is."""
    import torch
    from transformers import (
        CLIPImageProcessorPil,
        Florence2Config,
        Florence2ForConditionalGeneration,
        Florence2Processor,
    )

    torch.manual_seed(0)
    tokenizer = make_tokenizer(folder, image_token="<image>")
    images = CLIPImageProcessorPil(
        size={"height": SIDE, "width": SIDE}, crop_size={"height": SIDE, "width": SIDE}, do_center_crop=False,
        image_mean=[0.5] * 3, image_std=[0.5] * 3,
    )  # fmt: skip
    images.image_seq_length = (SIDE // 32) ** 2 + 1
    config = Florence2Config(
        vision_config={
            "depths": [1, 1, 1, 1], "embed_dim": [16, 32, 32, 32], "num_heads": [2] * 4, "num_groups": [2] * 4,
            "window_size": 4, "projection_dim": 32, "max_position_embeddings": 16, "max_temporal_embeddings": 4,
        },
        text_config={
            "model_type": "bart", "vocab_size": len(tokenizer), "d_model": 32, "encoder_layers": 1, "decoder_layers": 1,
            "encoder_attention_heads": 2, "decoder_attention_heads": 2, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64,
            "max_position_embeddings": 256, "bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2,
            "decoder_start_token_id": 2, "forced_bos_token_id": 0, "forced_eos_token_id": 2,
        },
        image_token_id=tokenizer.image_token_id,
    )  # fmt: skip
    model = Florence2ForConditionalGeneration(config)
    model.save_pretrained(folder)
    Florence2Processor(images, tokenizer, post_processor_config={"pure_text": {}}).save_pretrained(folder)
    return folder


def make_blip(folder: Path) -> Path:
    """The smallest BLIP that there is."""
    import torch
    from transformers import BlipConfig, BlipForConditionalGeneration, BlipImageProcessorPil, BlipProcessor

    torch.manual_seed(0)
    tokenizer = make_tokenizer(folder)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = BlipConfig(
        text_config=sizes | {
            "vocab_size": len(tokenizer), "encoder_hidden_size": 32, "max_position_embeddings": 64,
            "projection_dim": 16, "bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2, "sep_token_id": 2,
        },
        vision_config=sizes | {"image_size": SIDE, "patch_size": 16, "projection_dim": 16},
        projection_dim=16,
    )  # fmt: skip
    BlipForConditionalGeneration(config).save_pretrained(folder)
    images = BlipImageProcessorPil(size={"height": SIDE, "width": SIDE})
    BlipProcessor(images, tokenizer).save_pretrained(folder)
    return folder


def written_by_hand(kind: str, folder: Path, path: Path, prompt: str, tokens: int) -> str:
    """What transformers alone writes about a picture."""
    import torch
    from transformers import AutoProcessor, BlipForConditionalGeneration, Florence2ForConditionalGeneration

    model_class = {"florence2": Florence2ForConditionalGeneration, "blip": BlipForConditionalGeneration}[kind]
    processor = AutoProcessor.from_pretrained(folder, local_files_only=True)
    model = model_class.from_pretrained(folder, local_files_only=True).eval()
    text = {"text": prompt} if prompt else {}
    given = processor(images=Image.open(path).convert("RGB"), **text, return_tensors="pt")
    with torch.inference_mode():
        found = model.generate(**given, max_new_tokens=tokens, num_beams=2, do_sample=False)
    return one_line(processor.tokenizer.batch_decode(found, skip_special_tokens=True)[0])


@pytest.fixture(scope="module", params=["florence2", "blip"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    folder = tmp_path_factory.mktemp("models") / f"tiny-{request.param}"
    return request.param, {"florence2": make_florence, "blip": make_blip}[request.param](folder)


def test_it_writes_what_transformers_writes(model: tuple[str, Path], tmp_path: Path) -> None:
    kind, folder = model
    data = make_images(tmp_path / "data", {"a": "red", "b": "white"}, (SIDE, SIDE))
    (data / "torn.png").write_bytes(b"\x89PNG")
    prose = Prose(detail="more-detailed", begin="a photo of", beams=2, words=12)
    request = Request((ModelChoice("auto", str(folder)),), prose=prose, device="cpu", threads=1, batch=2)
    session = opened(data)
    outcome = tag_dataset(session, range(3), request)
    session.close()
    asked = {"florence2": "<MORE_DETAILED_CAPTION>", "blip": "a photo of"}[kind]
    for name in ("a", "b"):
        said = written_by_hand(kind, folder, data / f"{name}.png", asked, 12)
        assert any(map(str.isalnum, said))
        assert (data / f"{name}.txt").read_text() == said
    assert {number: error.code for number, error in outcome.failed.items()} == {2: "image.invalid"}
    assert outcome.transaction is not None
    assert outcome.transaction.head["author"] == f"tagger:tiny-{kind}"


@pytest.mark.parametrize(("capability", "dtype"), [((7, 5), "float16"), ((8, 6), "bfloat16"), ((9, 0), "bfloat16")])
def test_a_card_writes_in_what_it_computes_quickly(
    capability: tuple[int, int], dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from lora_tui.tagging.transformers_model import chosen_device

    asked: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)  # of older cards, too, by way of float32
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: asked.append(device) or capability)
    second = torch.device("cuda", 1)
    assert chosen_device(Device("cuda:1")) == (second, getattr(torch, dtype))
    assert asked == [second]


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"model_type": "florence2", "auto_map": {"AutoConfig": "x"}}, "florence-community/Florence-2-large-ft"),
        (
            {"model_type": "florence2", "vision_config": {"model_type": "davit"}},
            "florence-community/Florence-2-large-ft",
        ),
        ({"model_type": "llama"}, "“llama”"),
        ({}, "config.json says “”"),
    ],
)
def test_other_layouts_are_refused_with_the_one_to_use(tmp_path: Path, config: dict[str, Any], said: str) -> None:
    folder = tmp_path / "Florence-2-large-ft"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    choice = ModelChoice("florence2", str(folder))
    with pytest.raises(UserError) as caught:
        resolve(choice, Request((choice,)))
    assert caught.value.code == "tagger.layout"
    assert said in str(caught.value)
    assert str(folder) in caught.value.place


def test_the_original_on_the_hub_is_refused_before_it_is_fetched() -> None:
    choice = ModelChoice("auto", "microsoft/Florence-2-base")
    with pytest.raises(UserError, match="florence-community/Florence-2-base"):
        resolve(choice, Request((choice,)))


def test_a_folder_without_weights(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "blip"}')
    choice = ModelChoice("auto", str(tmp_path))
    with pytest.raises(UserError) as caught:
        resolve(choice, Request((choice,)))
    assert caught.value.code == "tagger.incomplete"


@pytest.mark.parametrize("damage", ["cut", "lacking"])
def test_weights_that_are_damaged_are_told(model: tuple[str, Path], tmp_path: Path, damage: str) -> None:
    from safetensors.torch import load_file, save_file

    from lora_tui.tagging.tagger import Device, opener

    kind, folder = model
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    weights = copy / "model.safetensors"
    if damage == "cut":
        weights.write_bytes(weights.read_bytes()[:-1000])
    else:
        held = load_file(weights)
        save_file(
            {name: tensor for name, tensor in held.items() if "norm" not in name.lower()}, weights, {"format": "pt"}
        )
    choice = ModelChoice(kind, str(copy))  # type: ignore[arg-type]
    with pytest.raises(UserError) as caught:
        opener(kind)(resolve(choice, Request((choice,))).settings, Device("cpu", threads=1))
    assert caught.value.code == "tagger.layout"
    assert str(copy) in caught.value.place
