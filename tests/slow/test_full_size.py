"""The whole road on a full-size SD1.5 single file (random weights) and real photographs, at 256 and 512 px.

Takes ten minutes or more, 8 GB of memory and 3 GB of disk: ``make test-slow``.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lora_tui.config.load import dump_config, parse_config
from lora_tui.weights.header.loras import lora_info
from lora_tui.weights.header.models import identify_model

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

PHOTOGRAPHS = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "hubble_deep_field.jpg", "retina.jpg")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stable Diffusion 1.5 in its published shape as one fp16 file, written in a process of its own."""
    path = tmp_path_factory.mktemp("model") / "full.safetensors"
    code = f"""
import json, torch
from pathlib import Path
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel
from lora_tui.families.unet.layout import file_name, is_vae_attention
from lora_tui.families.sd15.facts import FACTS
torch.manual_seed(0)
torch.set_default_dtype(torch.float16)
parts = {{
    "unet": UNet2DConditionModel.from_config(FACTS.full.unet_config()),
    "vae": AutoencoderKL.from_config(FACTS.full.vae_config()),
    "text_encoder": CLIPTextModel(CLIPTextConfig(**FACTS.full.text[0].config("quick_gelu"))),
}}
tensors = {{}}
for part, module in parts.items():
    for name, tensor in module.state_dict().items():
        if not name.endswith("position_ids"):
            tensor = tensor[:, :, None, None] if part == "vae" and is_vae_attention(name) else tensor
            tensors[file_name(FACTS, part, name)] = tensor.half().contiguous()
save_file(tensors, {str(path)!r})
print(len(tensors))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout.split()[-1]) == 1130
    return path


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import skimage

    folder = tmp_path_factory.mktemp("photographs") / "2_photo"
    folder.mkdir()
    for name in PHOTOGRAPHS:
        with Image.open(Path(skimage.__file__).parent / "data" / name) as image:
            image.convert("RGB").save(folder / f"{Path(name).stem}.png")
        (folder / f"{Path(name).stem}.txt").write_text(f"photo, {Path(name).stem.replace('_', ' ')}", "utf-8")
    return folder.parent


def _train(folder: Path, checkpoint: Path, photographs: Path, **sections: Any) -> Path:
    values: dict[str, Any] = {
        "model": {"base": str(checkpoint)},
        "datasets": [{"path": str(photographs)}],
        "network": {"rank": 16, "alpha": 8.0},
        "validation": {"mode": "off"},
        "saving": {"name": "full"},
        **sections,
    }
    config = folder / "full.toml"
    config.write_text(dump_config(parse_config(values, base=None, place="test")), "utf-8")
    subprocess.run([sys.executable, "-m", "lora_tui", "train", str(config)], check=True)
    (run,) = (folder / "runs").iterdir()
    return run


def _events(run: Path, kind: str) -> list[dict[str, Any]]:
    events = [json.loads(line) for line in (run / "events.jsonl").read_text("utf-8").splitlines()]
    return [event for event in events if event["kind"] == kind]


@pytest.mark.parametrize(
    ("side", "steps", "batch", "text_encoder"), [(256, 12, 2, True), (512, 6, 1, False)], ids=["256", "512"]
)
def test_the_road_at_full_size(
    checkpoint: Path, photographs: Path, tmp_path: Path, side: int, steps: int, batch: int, text_encoder: bool
) -> None:
    assert identify_model(checkpoint).family == "sd15"
    run = _train(
        tmp_path,
        checkpoint,
        photographs,
        data={"resolution": side, "bucket_max": 2 * side},
        steps={"max_steps": steps, "batch_size": batch},
        network={"rank": 16, "alpha": 8.0, "text_encoder": text_encoder},
        samples=[{"prompt": "photo, coffee", "width": 256, "height": 256, "steps": 4, "guidance": 5.0}],
    )
    losses = [event["loss"] for event in _events(run, "step")]
    assert len(losses) == steps
    assert all(0 < loss < 10 for loss in losses)
    info = lora_info(run / "checkpoints" / "full.safetensors")
    assert (info.unet_modules, info.text_encoder_modules) == (192, 72 if text_encoder else 0)
    assert dict(info.alphas) == {8.0: info.modules}
    assert len(list((run / "samples").glob("*.png"))) >= 1
    seconds = [event["step_seconds"] for event in _events(run, "step")][1:]
    memory = max(event["memory_allocated"] for event in _events(run, "step"))
    print(f"{side} px, batch {batch}: {sum(seconds) / len(seconds):.2f} s a step, {memory / 1e9:.1f} GB resident")
