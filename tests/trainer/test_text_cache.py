"""Embeddings of captions: kept in the model's precision, as long as a caption is, of the encoders that never learn."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from lives import draw_dataset, events, live_here, lora, micro_config, new_run

from lora_tui.bench.flux_model import write_flux_model
from lora_tui.bench.model import write_model
from lora_tui.caches.store import ContentStore
from lora_tui.config.estimate import caption_bytes, disk_parts, memory_parts, t5_tokens
from lora_tui.config.schema import CaptionSection, ModelSection
from lora_tui.dataset.batches import make_plan
from lora_tui.dataset.scan import scan_datasets
from lora_tui.families import open_model
from lora_tui.families.flux.model import FluxModel
from lora_tui.families.text_rows import batch_of, rows_of
from lora_tui.trainer.data.tensors import TensorStore
from lora_tui.trainer.data.texts import Texts, cache_texts, embed
from lora_tui.trainer.material import Material

SHORT, LONG = "a cat", "a photo of a red cat with a tall hat in the rain"
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def flux(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_flux_model(tmp_path_factory.mktemp("flux") / "model")


@cache
def opened(base: Path, dtype: torch.dtype = torch.float32, family: str = "flux", **captions: Any) -> Any:
    section = ModelSection(base=str(base), family=family)  # type: ignore[arg-type]
    return open_model(section, CaptionSection(t5_tokens=128, **captions), device=CPU, dtype=dtype)


def cached(
    model: Any, folder: Path, texts: list[str], *, learns: bool = False, batch: int = 1
) -> tuple[Texts, list[Path]]:
    """What is kept of ``texts``, and the files it lies in."""
    store = TensorStore(ContentStore(folder, "text"))
    found = cache_texts(
        texts, model, store, length=model.text_length(texts), learns=learns, progress=lambda _done, _total: None,
        batch=batch,
    )  # fmt: skip
    return found, sorted(folder.rglob("*.safetensors"))


def test_rows_of_different_lengths_become_a_batch_with_a_mask_and_rows_again() -> None:
    rows = [{"text": torch.randn(n, 3), "pooled": torch.randn(4)} for n in (2, 5, 3)]
    batch = batch_of(rows)
    assert batch["text"].shape == (3, 5, 3)
    assert batch["text_mask"].sum(dim=1).tolist() == [2, 5, 3]
    assert not batch["text"][~batch["text_mask"]].any()
    back = rows_of(batch)
    assert all(torch.equal(back[n][name], rows[n][name]) for n in range(3) for name in rows[n])
    assert "text_mask" not in batch_of(rows[:1]) and batch_of(rows[:1])["text"].shape == (1, 2, 3)
    assert batch_of([{"pooled": torch.ones(2)}])["pooled"].shape == (1, 2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_embeddings_are_kept_in_the_precision_of_the_model_and_no_other_is_read(
    flux: Path, tmp_path: Path, dtype: torch.dtype
) -> None:
    other = torch.float32 if dtype != torch.float32 else torch.bfloat16
    cached(opened(flux, other), tmp_path, [SHORT])
    texts, files = cached(opened(flux, dtype), tmp_path, [SHORT])
    row = texts.get(SHORT)
    assert {tensor.dtype for tensor in row.values()} == {dtype}
    assert row["text"].shape == (128, 32) and row["pooled"].shape == (64,)
    assert len(files) == 4  # of either precision one of T5 and one of CLIP


def test_the_network_sees_the_same_of_kept_and_of_fresh_embeddings(tmp_path: Path) -> None:
    """Half precisions round them in the first product anyway."""
    model = opened(write_model(tmp_path / "base"), torch.bfloat16, "sd15")
    texts, _files = cached(model, tmp_path / "cache", [LONG])
    fresh = embed(model, model.tokenize([LONG], 1))
    noisy = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float32)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        kept, wanted = (
            model.predict(noisy.to(model.dtype), torch.tensor([300]), told)
            for told in (batch_of([texts.get(LONG)]), fresh)
        )
    assert torch.equal(kept, wanted)


def masked_attention(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, own: torch.Tensor) -> torch.Tensor:
    """softmax(q k / sqrt d) v, the others' weights taken out, in plain arithmetic; [batch, heads, tokens, width]."""
    weights = (query @ key.mT / query.shape[-1] ** 0.5).exp() * own[:, None, None, :]
    return weights / weights.sum(dim=-1, keepdim=True) @ value


@torch.no_grad()
def test_masked_captions_take_their_own_length_and_change_nothing(
    flux: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A masked padding is as good as none: trimmed rows, alone or filled up in a batch, predict what full rows do."""
    model = opened(flux, t5_mask=True)
    texts, files = cached(model, tmp_path, [SHORT, LONG])
    assert model.text_length([SHORT]) < model.text_length([SHORT, LONG]) < 128
    rows = [texts.get(text) for text in (SHORT, LONG)]
    assert [len(row["text"]) for row in rows] == [model.text_length([text]) for text in (SHORT, LONG)]
    assert max(file.stat().st_size for file in files) < 128 * 32 * 4

    latents = torch.randn(2, 16, 4, 6, generator=torch.Generator().manual_seed(0))
    guidance, steps = torch.full((2,), 3.5), torch.tensor([700.0, 300.0])
    both = model.predict(latents, steps, {**batch_of(rows), "guidance": guidance})
    full = model.predict(
        latents, steps, {**model.encode_text(model.tokenize([SHORT, LONG], 128)), "guidance": guidance}
    )
    alone = [
        model.predict(latents[n : n + 1], steps[n : n + 1], {**batch_of([rows[n]]), "guidance": guidance[:1]})
        for n in range(2)
    ]
    assert torch.allclose(both, full, atol=1e-5)
    assert torch.allclose(torch.cat(alone), full, atol=1e-5)
    plain = opened(flux)
    unmasked = plain.predict(
        latents, steps, {**plain.encode_text(plain.tokenize([SHORT, LONG], 128)), "guidance": guidance}
    )
    assert not torch.allclose(unmasked, full, atol=1e-3)

    own = torch.cat([batch_of(rows)["text_mask"], torch.ones(2, 6, dtype=torch.bool)], dim=1)
    real = torch.nn.functional.scaled_dot_product_attention
    seen: list[float] = []

    def compared(query: Any, key: Any, value: Any, *rest: Any, **named: Any) -> Any:
        found = real(query, key, value, *rest, **named)
        seen.append(float((found - masked_attention(query, key, value, own)).abs().max()))
        return found

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", compared)
    model.predict(latents, steps, {**batch_of(rows), "guidance": guidance})
    assert len(seen) == 4 and max(seen) < 1e-5


def test_t5_is_kept_and_leaves_while_clip_learns(flux: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In memory with the network are CLIP, which learns, and nothing else; shuffled captions are bounded for T5."""
    monkeypatch.setenv("LORA_TUI_HOME", str(tmp_path / "home"))
    config = micro_config(
        flux,
        draw_dataset(tmp_path / "data", 6),
        model={"family": "flux"},
        captions={"t5_tokens": 128, "t5_mask": True, "shuffle": True, "variants": 2},
        data={"bucket_step": 16},
        network={"text_encoder": True},
        steps={"epochs": 2, "batch_size": 3},
        validation={"mode": "on"},
        samples=[{"prompt": LONG, "negative": SHORT, "width": 64, "height": 64, "steps": 2, "sampler": "euler"}],
    )
    seen: list[set[str]] = []
    loader = Material.loader

    def looked(self: Material) -> Any:
        made = loader(self)
        prepare = made._prepare

        def told(epoch: int, batch: Any) -> Any:
            seen.append({type(part).__name__ for part in self.model.loaded()})
            found = prepare(epoch, batch)
            assert found.tokens.keys() == {"ids"} and "pooled" not in found.conditioning
            return found

        made._prepare = told
        return made

    drawing: set[frozenset[str]] = set()
    predict = FluxModel.predict

    def watched(self: FluxModel, *given: Any) -> torch.Tensor:
        drawing.add(frozenset(type(part).__name__ for part in self.loaded()))
        return predict(self, *given)

    monkeypatch.setattr(FluxModel, "predict", watched)
    monkeypatch.setattr(Material, "loader", looked)
    run = new_run(tmp_path / "runs", config)
    assert live_here(run) == 0, events(run, "failed")
    assert seen and all(parts <= {"FluxTransformer2DModel", "CLIPTextModel", "AutoencoderKL"} for parts in seen)
    assert drawing == {frozenset({"FluxTransformer2DModel", "CLIPTextModel"})}
    assert len(events(run, "sample")) == 3 and events(run, "validation")
    assert any(name.startswith("text_encoder.") for name in lora(run))


def test_the_plan_says_what_the_embeddings_take(flux: Path, tmp_path: Path) -> None:
    folder = draw_dataset(tmp_path / "data", 6)

    def planned(**sections: Any) -> tuple[int, int, int]:
        config = micro_config(
            flux, folder, **{"model": {"family": "flux"}, "network": {"text_encoder": False}, **sections}
        )
        plan = make_plan(config, scan_datasets(config))
        disk = disk_parts(config, plan, checkpoints=1, states=1, drawn=0)
        return disk["texts"], caption_bytes(config, max(t5_tokens(config, plan))), memory_parts(config, plan)["weights"]

    whole, one, weights = planned()
    assert one == (512 * 32 + 64) * 4 and whole == 6 * one
    half, _one, _weights = planned(memory={"precision": "bf16"})
    assert half * 2 == whole
    short, _one, _weights = planned(captions={"t5_mask": True})
    tokens = opened(flux).token_count("blob, disc, tag0, plain background") + 1
    assert tokens * 32 * 4 * 6 <= short < whole / 20
    kept, _one, more = planned(network={"text_encoder": True})
    assert kept == 6 * 512 * 32 * 4
    assert 0 < more - weights < 14e6  # CLIP with its vocabulary, not T5


@pytest.mark.parametrize("family", ["sd15", "flux"])
def test_captions_that_are_encoded_together_have_what_each_has_with_any_others(
    flux: Path, tmp_path: Path, family: str
) -> None:
    base = flux if family == "flux" else write_model(tmp_path / "base")
    model = opened(base, torch.float32, family)
    texts = [f"{text}, {number}" for number in range(3) for text in (SHORT, LONG)]
    alone, _files = cached(model, tmp_path / "alone", texts)
    together, files = cached(model, tmp_path / "together", texts, batch=4)
    few, _files = cached(model, tmp_path / "few", texts[1:4], batch=4)
    assert len(files) == len({key for keys in together.keys.values() for key in keys})
    for text in texts:
        assert not set(together.keys[text]) & set(alone.keys[text])
        for name, tensor in together.get(text).items():
            assert torch.allclose(tensor, alone.get(text)[name], atol=1e-4)
    for text in few.keys:
        assert few.keys[text] == together.keys[text]
        for name, tensor in few.get(text).items():
            assert torch.equal(tensor, together.get(text)[name])
