"""Base models by their names on the hub: fetched once, used without a network from then on, refused with a remedy."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hub_server import COMMIT, hub_of
from model_headers import DIFFUSERS, write_folder

from lora_tui.config.load import parse_config
from lora_tui.config.validate import check_config
from lora_tui.errors import UserError
from lora_tui.families.hub import whole

NAME = "someone/tiny-model"
#: Fetches names one after the other and prints what came of each; the hub's library reads the environment only once.
CODE = """
import json, sys
from lora_tui.config.schema import ModelSection
from lora_tui.errors import UserError
from lora_tui.families import fetch_model
for given in sys.argv[1:]:
    told = []
    name, _equals, family = given.partition("=")
    try:
        section = ModelSection(base=name, family=family or "sd15")
        found = fetch_model(section, lambda *progress: told.append(progress))
        print(json.dumps({"path": str(found["base"]), "told": told}))
    except UserError as error:
        print(json.dumps({"message": error.message, "remedy": error.remedy, "code": error.code, "place": error.place}))
print(json.dumps("torch" in sys.modules))
"""


def fetch(home: Path, *names: str, **environment: str) -> list[dict[str, Any]]:
    env = {
        **os.environ, "HF_HOME": str(home), "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_XET": "1", **environment,
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", CODE, *names], capture_output=True, text=True, timeout=120, check=False, env=env
    )
    assert done.returncode == 0, done.stderr
    *found, torch = [json.loads(line) for line in done.stdout.splitlines()]
    assert torch is False
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model with weights in two precisions, a pickle and a part that nobody needs."""
    path = write_folder(tmp_path / "model")
    (path / "model_index.json").write_text(
        json.dumps(
            {
                "_class_name": "StableDiffusionPipeline",
                "unet": ["diffusers", "UNet2DConditionModel"],
                "vae": ["diffusers", "AutoencoderKL"],
                "text_encoder": ["transformers", "CLIPTextModel"],
                "tokenizer": ["transformers", "CLIPTokenizer"],
                "scheduler": ["diffusers", "DDPMScheduler"],
                "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"],
            }
        )
    )
    (path / "unet" / "diffusion_pytorch_model.fp16.safetensors").write_bytes(b"half")
    (path / "unet" / "diffusion_pytorch_model.bin").write_bytes(b"pickle")
    (path / "safety_checker").mkdir()
    (path / "safety_checker" / "model.safetensors").write_bytes(b"unneeded")
    return path


def test_a_model_is_fetched_from_a_mirror_and_then_found_without_any(folder: Path, tmp_path: Path) -> None:
    home = tmp_path / "hf"
    with hub_of({NAME: folder}) as hub:
        (first,) = fetch(home, NAME, HF_ENDPOINT=hub.endpoint)
        asked = [line for line in hub.asked if "/resolve/" in line]
    assert not any(word in line for line in asked for word in ("fp16", ".bin", "safety_checker"))
    assert asked[-1].endswith("/model_index.json")  # which says that all is there
    path = Path(first["path"])
    assert path.name == COMMIT
    for part in ("unet", "vae"):
        assert (path / part / DIFFUSERS).read_bytes() == (folder / part / DIFFUSERS).read_bytes()
    done, total, last = first["told"][-1]
    assert done == total > 0 and last == NAME
    assert any("unet" in file and "/" in file for _done, _total, file in first["told"])

    (again,) = fetch(home, NAME, HF_HUB_OFFLINE="1")
    (nobody_there,) = fetch(home, NAME, HF_ENDPOINT=hub.endpoint)
    assert again["path"] == nobody_there["path"] == first["path"]
    assert again["told"] == nobody_there["told"] == []


def test_what_was_broken_off_is_gone_on_with(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "hf"
    monkeypatch.setenv("HF_HOME", str(home))
    with hub_of({NAME: folder}) as hub:
        (first,) = fetch(home, NAME, HF_ENDPOINT=hub.endpoint)
        assert whole(NAME) == Path(first["path"])
        (Path(first["path"]) / "vae" / DIFFUSERS).unlink()
        assert whole(NAME) is None and whole(NAME, ("unet",)) is not None
        hub.asked.clear()
        (again,) = fetch(home, NAME, HF_ENDPOINT=hub.endpoint)
        assert not any(line.startswith("GET") and "unet" in line for line in hub.asked)
    assert whole(NAME) == Path(again["path"])


def test_each_failure_is_told_with_its_remedy(folder: Path, tmp_path: Path) -> None:
    bare, pickled = tmp_path / "bare", tmp_path / "pickled"
    bare.mkdir()
    (bare / "model.safetensors").write_bytes(b"")
    pickled.mkdir()
    (pickled / "model_index.json").write_text("{}")
    hosted = {NAME: folder, "someone/single-file": bare, "someone/pickled": pickled}
    with hub_of(hosted, gated=("someone/gated",), silent=("someone/silent",)) as hub:
        (other,) = fetch(tmp_path / "hf", f"{NAME}=flux", HF_ENDPOINT=hub.endpoint)
        assert other["code"] == "model.family" and "sd15 / sd2" in other["remedy"]
        assert not any("/resolve/" in line for line in hub.asked)
        names = ("someone/missing", "someone/gated", "someone/single-file", "someone/pickled", "someone/silent")
        environment = {"HF_ENDPOINT": hub.endpoint, "HF_HUB_ETAG_TIMEOUT": "1", "HF_HUB_DOWNLOAD_TIMEOUT": "1"}
        missing, gated, single, pickle, silent = fetch(tmp_path / "hf", *names, **environment)
    assert "no model someone/missing" in missing["message"] and hub.endpoint in missing["message"]
    assert "HF_TOKEN" in missing["remedy"]
    assert "accepted its terms" in gated["message"]
    assert f"{hub.endpoint}/someone/gated" in gated["remedy"] and "HF_TOKEN" in gated["remedy"]
    assert single["code"] == "model.not_diffusers" and ".safetensors file" in single["remedy"]
    assert pickle["code"] == "model.pickle"
    assert "could not be fetched" in silent["message"] and "HF_ENDPOINT" in silent["remedy"]
    assert {told["place"] for told in (missing, gated, single, pickle, silent)} == {"model.base"}
    (offline,) = fetch(tmp_path / "hf", NAME, HF_HUB_OFFLINE="1")
    assert "HF_HUB_OFFLINE forbids" in offline["message"] and "Unset HF_HUB_OFFLINE" in offline["remedy"]


def test_a_check_looks_at_what_the_cache_holds_and_says_what_it_lacks(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def codes(model: Mapping[str, Any]) -> list[str]:
        config = parse_config({"model": {"base": NAME, **model}}, base=None, place="test")
        return [finding.code for finding in check_config(config) if finding.field.startswith("model.")]

    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hf"))
    assert codes({}) == ["model.offline"]  # the tests' environment forbids to fetch
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    assert codes({}) == ["model.hub_name"]
    place = tmp_path / "hf" / "models--someone--tiny-model"
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text(COMMIT)
    (place / "snapshots").mkdir()
    folder.rename(place / "snapshots" / COMMIT)
    assert codes({}) == []
    assert codes({"family": "sdxl"}) == ["model.family"]


def test_a_part_on_the_hub_is_fetched_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the cache holds is taken as it is: the weights of that part are enough."""
    from lora_tui.config.schema import ModelSection
    from lora_tui.families import fetch_model

    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    snapshot = tmp_path / "models--someone--flux" / "snapshots" / COMMIT
    (snapshot / "text_encoder_2").mkdir(parents=True)
    (snapshot / "model_index.json").write_text("{}")
    (snapshot / "text_encoder_2" / "model.safetensors").write_bytes(b"")
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text(COMMIT)
    section = ModelSection(base=str(tmp_path), family="flux", t5xxl="someone/flux")
    assert fetch_model(section) == {"t5xxl": snapshot}
    with pytest.raises(UserError, match="HF_HUB_OFFLINE") as caught:
        fetch_model(ModelSection(base=str(tmp_path), family="flux", vae="someone/flux"))
    assert caught.value.place == "model.vae"
