"""Models by folder: their vectors are those of plain transformers calls; what is no such model is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from grid_models import Quiet
from PIL import Image
from scored_grids import as_trained, creature, ordinary, paint, scored_grid, scored_run
from vision_models import write_clip, write_dinov2, write_siglip

from lora_tui.errors import UserError
from lora_tui.scores.models import Reader, looker
from lora_tui.scores.named import MICRO, Named, Panel, check_names, panel_of, usual
from lora_tui.scores.told import read_scores
from lora_tui.scores.work import work

CPU = torch.device("cpu")
TEXTS = ["a red circle", "a blue star, large, on a white background"]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("vision")
    makers = {"clip": write_clip, "siglip": write_siglip, "dinov2": write_dinov2}
    return {kind: make(root / kind) for kind, make in makers.items()}


def pictures() -> list[Image.Image]:
    return [creature(1), ordinary(2).resize((96, 64)), ordinary(3)]


def unit(values: Any) -> np.ndarray:
    array = values.detach().numpy().astype(np.float64)
    return array / np.linalg.norm(array, axis=-1, keepdims=True)


@pytest.mark.parametrize("kind", ["clip", "siglip", "dinov2"])
def test_vectors_are_those_of_plain_transformers_calls(models: dict[str, Path], kind: str) -> None:
    from transformers import AutoImageProcessor, AutoTokenizer, CLIPModel, Dinov2Model, SiglipModel

    folder = models[kind]
    own = looker(Named(kind, kind, folder), CPU, "subject")
    pixels = AutoImageProcessor.from_pretrained(folder)(images=pictures(), return_tensors="pt")["pixel_values"]
    classes: dict[str, Any] = {"clip": CLIPModel, "siglip": SiglipModel, "dinov2": Dinov2Model}
    model = classes[kind].from_pretrained(folder).eval()
    if kind == "dinov2":
        assert np.allclose(own.images(pictures()), unit(model(pixels).pooler_output), atol=1e-5)
        return
    assert isinstance(own, Reader)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    padding = {"padding": "max_length", "max_length": 64} if kind == "siglip" else {"padding": True}
    tokens = tokenizer(TEXTS, return_tensors="pt", **padding)
    plain = model(pixel_values=pixels, **tokens)
    assert np.allclose(own.images(pictures()), unit(plain.image_embeds), atol=1e-5)
    assert np.allclose(own.texts(TEXTS), unit(plain.text_embeds), atol=1e-5)
    assert own.texts(["word " * 500]).shape == (1, plain.text_embeds.shape[1])


def test_who_is_asked_what(models: dict[str, Path]) -> None:
    clip, siglip, dino = (str(models[kind]) for kind in ("clip", "siglip", "dinov2"))
    assert panel_of([]) is None
    both = panel_of([clip, dino])
    assert both is not None and both.prompts is not None
    assert (both.images.kind, both.prompts.kind) == ("dinov2", "clip")
    alone = panel_of([siglip])
    assert alone is not None and alone.images is alone.prompts
    assert panel_of([MICRO]) == Panel(Named(MICRO, MICRO))
    with pytest.raises(UserError) as caught:
        check_names([clip, siglip])
    assert caught.value.code == "scores.twice" and caught.value.place == "siglip"


def test_a_folder_that_is_no_such_model_is_refused(models: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "bert").mkdir()
    (tmp_path / "bert" / "config.json").write_text(json.dumps({"model_type": "bert"}))
    (tmp_path / "empty").mkdir()
    for name, code in (("bert", "scores.model"), ("empty", "scores.model"), ("gone", "scores.missing")):
        with pytest.raises(UserError) as caught:
            check_names([str(tmp_path / name)])
        assert caught.value.code == code and caught.value.remedy
    check_names(["owner/model-that-is-not-here"])  # believed until it is fetched
    broken = shutil.copytree(models["clip"], tmp_path / "broken")
    (broken / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(UserError, match="cannot be loaded"):
        looker(Named("broken", "clip", broken), CPU, "subject")
    bare = shutil.copytree(models["siglip"], tmp_path / "bare")
    for path in bare.glob("tokenizer*"):
        path.unlink()
    with pytest.raises(UserError) as caught:
        check_names([str(bare)])
    assert caught.value.code == "scores.tokenizer"


def test_a_name_that_is_on_the_hub_alone_is_told_when_it_cannot_be_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(UserError) as caught:
        panel_of(["owner/model-that-is-not-here"])
    assert "owner/model-that-is-not-here" in str(caught.value) and caught.value.remedy


def test_settings_name_the_usual_models_and_a_demo_has_its_own(tmp_path: Path) -> None:
    assert usual(tmp_path, ("a/b",)) == ("a/b",)
    assert usual(tmp_path, ()) == ()
    (tmp_path / "lora-tui.toml").write_text('name = "x"\n')
    (tmp_path / ".lora-tui-demo").touch()
    assert usual(tmp_path / "grids" / "one", ()) == (MICRO,)


def test_a_model_that_reads_prompts_is_asked_for_them(models: dict[str, Path], tmp_path: Path) -> None:
    folder = scored_grid(scored_run(tmp_path, images=6), "strength=0,1", "seed=1,2")
    shown = {one.key: one.cell.prompt for one in paint(folder, as_trained)}
    result = work({"folder": str(folder.root), "encoders": [str(models["clip"]), MICRO]}, Quiet())  # type: ignore[arg-type]
    found = read_scores(folder.root)
    assert result["complete"] and found is not None
    assert [(one.name, one.kind, one.asked) for one in found.models] == [
        ("micro", "micro", ("images",)), ("clip", "clip", ("prompts",)),
    ]  # fmt: skip
    assert all(one.prompt is not None and one.prompt_plain is not None for one in found.cells.values())
    named = [key for key, prompt in shown.items() if "mimbu" in prompt]
    assert all(found.cells[key].prompt != found.cells[key].prompt_plain for key in named)
    assert found.references.own_prompt is not None and found.references.other_prompts is not None
