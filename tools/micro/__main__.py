"""``python -m tools.micro FOLDER``: train the micro model and the image encoder from nothing.

What is cut off goes on where it was when it is called again with the same folder. Figures are appended to
``figures.jsonl`` there; the finished parts lie in ``pipeline/``.
"""

from __future__ import annotations

import argparse
import copy
import json
from pathlib import Path
from typing import Any

import torch

from tools.micro.budget import BUDGETS, Budget
from tools.micro.encoder import trained as trained_encoder
from tools.micro.examine import examine
from tools.micro.layout import SIDE, make_unet
from tools.micro.package import write_encoder, write_pipeline
from tools.micro.stage import SAVE_SECONDS, Stage
from tools.micro.text import TextStage
from tools.micro.tokens import Words, write_tokenizer
from tools.micro.unet import Latents, UnetStage
from tools.micro.vae import VaeStage


def train(folder: Path, budget: Budget, *, seed: int) -> dict[str, Any]:
    """Train each part, one after another; return the finished modules in fp32."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = folder / "tokenizer"
    write_tokenizer(tokenizer)
    words = Words(tokenizer)
    vae: Any = VaeStage(folder, steps=budget.vae, seed=seed, part=budget.part).run()["vae"]
    vae.register_to_config(scaling_factor=_scaling_factor(folder))
    text = TextStage(folder, words, steps=budget.text, seed=seed, part=budget.part).run()["text_encoder"]
    torch.manual_seed(seed)
    modules: dict[str, Any] = {"unet": make_unet().to(memory_format=torch.channels_last), "text_encoder": text}
    for name, side, count, steps, batch, rate, plateau, high_noise in budget.unet():
        latents = Latents(folder, vae, side=side, count=count, seed=seed)
        modules = {key: copy.deepcopy(module).requires_grad_(True).train() for key, module in modules.items()}
        stage = UnetStage(
            folder,
            modules,
            words,
            latents,
            name=name,
            steps=steps,
            seed=seed,
            batch=batch,
            rate=rate,
            plateau=plateau,
            high_noise=high_noise,
        )
        modules = stage.run()
    write_pipeline(folder / "pipeline", {**copy.deepcopy(modules), "vae": copy.deepcopy(vae)}, tokenizer)
    encoder = trained_encoder(folder, steps=budget.encoder, seed=seed, part=budget.part)
    write_encoder(folder / "encoder.safetensors", encoder)
    return {**modules, "vae": vae, "words": words}


def _scaling_factor(folder: Path) -> float:
    """What the VAE's stage measured last."""
    lines = [json.loads(line) for line in (folder / "figures.jsonl").read_text(encoding="utf-8").splitlines()]
    found = [line["measured"]["scaling_factor"] for line in lines if line["stage"] == "vae" and "measured" in line]
    return float(found[-1])


def main() -> int:
    """Train, examine, and print the figures."""
    parser = argparse.ArgumentParser(prog="python -m tools.micro", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--budget", choices=BUDGETS, default="full")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--save-seconds", type=float, default=SAVE_SECONDS, help="how often the state is saved")
    parser.add_argument("--judge", type=int, default=200, metavar="N", help="held-out captions for the examination")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    Stage.save_seconds = options.save_seconds
    modules = train(options.folder, BUDGETS[options.budget], seed=options.seed)
    if not options.judge:
        return 0
    figures = examine(modules, modules["words"], side=SIDE, count=options.judge)
    with (options.folder / "figures.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps({"stage": "examination", "captions": options.judge, **figures}) + "\n")
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
