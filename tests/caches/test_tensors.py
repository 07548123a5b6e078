"""Cached tensors: in memory within bounds, by any thread, and never those of another model or image."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil  # type: ignore[import-untyped]
import pytest
import torch
from PIL import Image

from lora_tui.caches.store import ContentStore
from lora_tui.config.schema import CaptionSection, Config, DataSection, DatasetEntry, ModelSection
from lora_tui.dataset.batches import PlannedImage, make_plan
from lora_tui.dataset.buckets import Box
from lora_tui.dataset.load import content_hash
from lora_tui.dataset.looks import Look
from lora_tui.dataset.scan import scan_datasets
from lora_tui.dataset.verdicts import Verdicts
from lora_tui.families.sd15.model import open_model
from lora_tui.trainer.data.latents import Latents, cache_latents
from lora_tui.trainer.data.tensors import MEMORY_CAP_BYTES, TensorStore, default_cap
from lora_tui.trainer.data.texts import cache_texts

KEYS = [f"{number:032x}" for number in range(8)]


def _store(folder: Path, **options: Any) -> TensorStore:
    return TensorStore(ContentStore(folder, "latents"), **options)


def test_what_was_used_last_stays_in_memory(tmp_path: Path) -> None:
    store = _store(tmp_path, memory_cap=1000)
    for key in KEYS[:2]:
        store.put(key, {"x": torch.zeros(100)})
    store.get(KEYS[0])
    store.put(KEYS[2], {"x": torch.zeros(100)})
    shutil.rmtree(tmp_path)
    assert store.has(KEYS[0])
    assert store.has(KEYS[2])
    assert not store.has(KEYS[1])


def test_a_part_of_a_large_tensor_does_not_keep_the_rest(tmp_path: Path) -> None:
    store = _store(tmp_path)
    store.put(KEYS[0], {"first": torch.randn(77, 768)[0]})
    assert store.get(KEYS[0])["first"].untyped_storage().nbytes() == 768 * 4


class Watched(OrderedDict[str, dict[str, torch.Tensor]]):
    """Notes whether the store's lock was held whenever its memory was touched."""

    def __init__(self, lock: threading.Lock) -> None:
        super().__init__()
        self._guard = lock
        self.held: list[bool] = []

    def _touched(self) -> None:
        self.held.append(self._guard.locked())

    def get(self, key: str, default: Any = None) -> Any:
        self._touched()
        return super().get(key, default)

    def pop(self, key: str, default: Any = None) -> Any:
        self._touched()
        return super().pop(key, default)

    def popitem(self, last: bool = True) -> Any:
        self._touched()
        return super().popitem(last)

    def move_to_end(self, key: str, last: bool = True) -> None:
        self._touched()
        super().move_to_end(key, last)

    def __setitem__(self, key: str, value: Any) -> None:
        self._touched()
        super().__setitem__(key, value)


def test_what_is_in_memory_is_touched_under_the_lock_alone(tmp_path: Path) -> None:
    """Between finding an entry and marking it as used, no other thread can push it out."""
    store = _store(tmp_path, memory_cap=1000)
    watched = store._memory = Watched(store._lock)
    for number, key in enumerate(KEYS):
        store.put(key, {"x": torch.full((100,), float(number))})
    for key in (*KEYS, KEYS[-1]):
        store.get(key)
        assert store.has(key)
    assert len(watched.held) > 40
    assert all(watched.held)


def test_threads_share_a_store(tmp_path: Path) -> None:
    store = _store(tmp_path, memory_cap=1000)
    for number, key in enumerate(KEYS):
        store.put(key, {"x": torch.full((100,), float(number))})
    errors: list[BaseException] = []

    def use(offset: int) -> None:
        try:
            for turn in range(40):
                number = (turn * (offset + 1)) % len(KEYS)
                assert store.get(KEYS[number])["x"][0] == number
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=use, args=(offset,)) for offset in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert store._held == sum(tensors["x"].nbytes for tensors in store._memory.values()) <= 1000


def test_a_small_machine_keeps_less(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    free = psutil.virtual_memory()
    for available, cap in ((8_000_000, 2_000_000), (10**12, MEMORY_CAP_BYTES)):
        monkeypatch.setattr(psutil, "virtual_memory", lambda a=available: free._replace(available=a))
        assert default_cap() == cap
        assert _store(tmp_path)._cap == cap


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from lora_tui.bench.model import write_model

    return write_model(tmp_path_factory.mktemp("model") / "base", seed=4)


def _model(base: Path) -> Any:
    return open_model(ModelSection(base=str(base)), CaptionSection(), device=torch.device("cpu"), dtype=torch.float32)


def _changed(base: Path, folder: Path, file: str, **values: Any) -> Path:
    """A copy of the model whose configuration ``file`` says something else."""
    shutil.copytree(base, folder)
    path = folder / file
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **values}), "utf-8")
    return folder


def _planned(folder: Path) -> tuple[PlannedImage, ...]:
    folder.mkdir()
    for number in range(2):
        Image.new("RGB", (64, 64), (number * 90, 40, 200)).save(folder / f"{number}.png")
    config = Config()
    config.datasets = [DatasetEntry(path=str(folder))]
    config.data = DataSection(resolution=64, bucket_min=32, bucket_max=128, bucket_step=8)
    return tuple(make_plan(config, scan_datasets(config)).train)


def _quiet(done: int, total: int) -> None:
    pass


def _text_keys(model: Any, store: TensorStore) -> dict[str, str]:
    return cache_texts(["a disc"], model, store, length=1, progress=_quiet).keys


def test_another_tokenizer_has_embeddings_of_its_own(base: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(base, other)
    path = other / "tokenizer" / "vocab.json"
    words = json.loads(path.read_text("utf-8"))
    words["disc</w>"], words["cat</w>"] = words["cat</w>"], words["disc</w>"]
    path.write_text(json.dumps(words), "utf-8")
    store = _store(tmp_path)
    assert _text_keys(_model(base), store) == _text_keys(_model(base), store)
    assert _text_keys(_model(base), store) != _text_keys(_model(other), store)


def _plain(planned: PlannedImage) -> tuple[Look, ...]:
    return (Look(planned.fit),)


def _both(planned: PlannedImage) -> tuple[Look, ...]:
    return Look(planned.fit), Look(planned.fit, flipped=True)


def test_another_scaling_factor_has_latents_of_its_own(base: Path, tmp_path: Path) -> None:
    other = _changed(base, tmp_path / "other", "vae/config.json", scaling_factor=0.5)
    images, store = _planned(tmp_path / "set"), _store(tmp_path)
    one, again, scaled = (
        cache_latents(images, _model(folder), store, looks=_plain, progress=_quiet) for folder in (base, base, other)
    )
    assert one.keys == again.keys
    for place in one.keys:
        assert torch.allclose(scaled.get(*place), one.get(*place) * (0.5 / 0.18215), rtol=1e-4)


def test_an_image_that_changed_or_broke_is_noted(base: Path, tmp_path: Path) -> None:
    images = _planned(tmp_path / "set")
    changed, broken = images
    Image.new("RGB", (200, 20)).save(changed.image.path)
    broken.image.path.write_bytes(b"no image")
    latents = cache_latents(images, _model(base), _store(tmp_path), looks=_both, progress=_quiet)
    assert set(latents.failed) == {changed.image.uid, broken.image.uid}
    assert "another size" in latents.failed[changed.image.uid]
    assert not latents.keys


def test_nothing_is_kept_of_an_image_that_changes_while_it_is_read(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = _planned(tmp_path / "set")
    first, second = one.image.path.read_bytes(), other.image.path.read_bytes()

    def swapped(path: Path) -> str:
        found = content_hash(path)
        path.write_bytes(second)
        os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))  # however coarse the clock of the disk is
        return found

    store, model = _store(tmp_path), _model(base)
    with monkeypatch.context() as patch:
        patch.setattr("lora_tui.trainer.data.latents.content_hash", swapped)
        torn = cache_latents([one], model, store, looks=_both, progress=_quiet)
    assert "changed while" in torn.failed[one.image.uid]
    assert not torn.keys
    one.image.path.write_bytes(first)
    again, fresh = (
        cache_latents([one], model, kept, looks=_plain, progress=_quiet)
        for kept in (store, _store(tmp_path / "another"))
    )
    for place in fresh.keys:
        assert torch.equal(again.get(*place), fresh.get(*place))


def test_that_an_image_was_torn_is_not_remembered_of_the_one_that_is_put_back(base: Path, tmp_path: Path) -> None:
    planned, _other = _planned(tmp_path / "set")
    path, facts = planned.image.path, planned.image.facts
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    latents = cache_latents([planned], _model(base), _store(tmp_path), looks=_plain, progress=_quiet)
    assert "damaged" in latents.failed[planned.image.uid]
    path.write_bytes(whole)
    os.utime(path, ns=(facts.mtime_ns, facts.mtime_ns))  # as rsync and cp -p do
    assert Verdicts().damage(path, facts) is None


def test_another_crop_has_a_latent_of_its_own_and_no_crop_the_old_one(base: Path, tmp_path: Path) -> None:
    planned, _other = _planned(tmp_path / "set")
    store, model = _store(tmp_path), _model(base)

    def key(box: Box | None) -> str:
        image = replace(planned, fit=replace(planned.fit, source=box))
        latents = cache_latents([image], model, store, looks=_plain, progress=_quiet)
        return latents.keys[planned.image.uid, Look(image.fit)]

    keys = [key(None), key(Box(0, 0, 64, 64)), key(Box(0, 0, 32, 32)), key(Box(32, 32, 64, 64))]
    assert len(set(keys)) == 4
    assert key(Box(0, 0, 32, 32)) == keys[2]


@pytest.mark.parametrize("batch", [2, 4])
def test_images_that_are_encoded_together_have_the_latents_that_each_has_with_any_others(
    base: Path, tmp_path: Path, batch: int
) -> None:
    """As close to those of one by one as float32 is, with entries of their own."""
    folder, model = tmp_path / "set", _model(base)
    folder.mkdir()
    for number in range(7):
        size = (64, 64) if number % 3 else (96, 48)
        pixels = np.random.default_rng(number).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    config = Config()
    config.datasets = [DatasetEntry(path=str(folder))]
    config.data = DataSection(resolution=64, bucket_min=32, bucket_max=128, bucket_step=8)
    images = make_plan(config, scan_datasets(config)).train
    seen: list[tuple[int, int]] = []

    def cached(name: str, wanted: Sequence[PlannedImage], count: int) -> Latents:
        def progress(done: int, total: int) -> None:
            seen.append((done, total))

        return cache_latents(wanted, model, _store(tmp_path / name), looks=_both, progress=progress, batch=count)

    alone, all_of_them = cached("alone", images, 1), cached("all", images, batch)
    assert seen[-1] == (14, 14) and len({one.fit.bucket for one in images}) == 2
    assert alone.keys.keys() == all_of_them.keys.keys()
    assert not set(alone.keys.values()) & set(all_of_them.keys.values())
    for place in alone.keys:
        assert torch.allclose(all_of_them.get(*place), alone.get(*place), atol=1e-4)
    for name, others in {"few": images[4:], "one": images[5:6], "other way": images[::-1]}.items():
        some = cached(name, others, batch)
        for place, key in some.keys.items():
            assert key == all_of_them.keys[place]
            assert torch.equal(some.get(*place), all_of_them.get(*place))


def test_a_pass_that_was_cut_off_between_batches_goes_on_to_the_same_latents(base: Path, tmp_path: Path) -> None:
    images, model = _planned(tmp_path / "set"), _model(base)
    whole = cache_latents(images, model, _store(tmp_path / "whole"), looks=_both, progress=_quiet, batch=3)

    def stopping(done: int, _total: int) -> None:
        if done == 3:
            raise InterruptedError

    store = _store(tmp_path / "cut")
    with pytest.raises(InterruptedError):
        cache_latents(images, model, store, looks=_both, progress=stopping, batch=3)
    assert not all(store.has(key) for key in whole.keys.values())
    again = cache_latents(images, model, store, looks=_both, progress=_quiet, batch=3)
    assert all(torch.equal(again.get(*place), whole.get(*place)) for place in whole.keys)
