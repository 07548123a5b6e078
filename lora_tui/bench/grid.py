"""A grid of 5 LoRA files against 6 strengths, against loading and drawing it cell by cell with diffusers."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_tui.bench.common import Measure, home_for_torch, paired, processor_measure, ratio_measure, tell
from lora_tui.errors import UserError
from lora_tui.text.translate import _

if TYPE_CHECKING:
    from lora_tui.grids.folder import GridFolder

BAR = 0.5
FILES, STRENGTHS = 5, "0-1 [6]"


def build(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--side", type=int, default=128, help=_("side of the pictures in pixels"))
    parser.add_argument("--steps", type=int, default=4, help=_("denoising steps"))
    parser.add_argument("--pairs", type=int, default=3, help=_("pairs of measurements"))


def measure(args: argparse.Namespace) -> Iterator[Measure]:
    """The figures.

    Raises:
        UserError: the libraries for training are not installed.
    """
    with home_for_torch() as folder:
        import torch

        torch.set_num_threads(max(int(os.environ.get("OMP_NUM_THREADS", "0")), 1))
        bench = _Bench(Path(folder), args.side, args.steps)
        bench.make()
        found = paired(bench.ours, bench.theirs, args.pairs)
        detail = _("{files} LoRA files x {strengths} strengths, {side} px, {steps} steps; the CPU, one thread").format(
            files=FILES, strengths=6, side=args.side, steps=args.steps
        )
        yield ratio_measure(_("grid against cell by cell"), found.ratios, bar=BAR, detail=detail)
        yield processor_measure(found.processor, bar=BAR)
        for name, words in (("bases", _("base models loaded")), ("loras", _("LoRA files loaded")),
                            ("texts", _("texts encoded"))):  # fmt: skip
            yield Measure(words, bench.loads[name], "count", bar=bench.planned[name])


@dataclass
class _Bench:
    """Both ways to the same pictures, from the same files."""

    root: Path
    side: int
    steps: int
    turn: int = 0

    def make(self) -> None:
        from lora_tui.bench.model import write_lora, write_model

        self.base = write_model(self.root / "base", seed=1)
        self.files = [
            write_lora(self.root / f"lora-{number}.safetensors", self.base, number) for number in range(FILES)
        ]
        self.loads: dict[str, int] = {}
        self.planned: dict[str, int] = {}

    def ours(self) -> None:
        """A new grid, drawn in this process."""
        from lora_tui.grids.work import work

        self.turn += 1
        result: dict[str, Any] = work({"folder": str(self._grid().root)}, _Quiet())  # type: ignore[arg-type]
        self.loads, self.planned = result["loads"], result["planned"]

    def _grid(self) -> GridFolder:
        from lora_tui.config.schema import Config
        from lora_tui.config.write import save_config
        from lora_tui.grids.ask import Wanted, asked, made

        config = Config()
        config.model.base, config.model.clip_skip = str(self.base), 1
        config.memory.precision, config.memory.device, config.memory.threads = "fp32", "cpu", 1
        save_config(config, self.root / "grid.toml")
        axes = (("--x", f"strength={STRENGTHS}"), ("--y", f"lora={','.join(map(str, self.files))}"))
        wanted = Wanted(
            str(self.root / "grid.toml"), axes=axes, prompts=("a red disc",), steps=self.steps, sampler="ddim",
            size=f"{self.side}x{self.side}",
        )  # fmt: skip
        return made(asked(wanted), parent=self.root / "grids" / str(self.turn))

    def theirs(self) -> None:
        """Each cell by itself: model, LoRA, strength, picture."""
        import diffusers
        import torch

        folder = self.root / "theirs" / str(self.turn)
        folder.mkdir(parents=True, exist_ok=True)
        for number, file in enumerate(self.files):
            for strength in range(6):
                pipe = diffusers.StableDiffusionPipeline.from_pretrained(
                    self.base, local_files_only=True, safety_checker=None, torch_dtype=torch.float32
                )
                pipe.scheduler = diffusers.DDIMScheduler.from_config(pipe.scheduler.config)
                pipe.set_progress_bar_config(disable=True)
                pipe.load_lora_weights(str(file), adapter_name="lora")
                pipe.set_adapters(["lora"], [strength / 5])
                picture = pipe(
                    "a red disc", width=self.side, height=self.side, num_inference_steps=self.steps,
                    generator=torch.Generator().manual_seed(42),
                ).images[0]  # fmt: skip
                picture.save(folder / f"{number}-{strength}.png")


class _Quiet:
    """A report that nobody reads."""

    def progress(self, phase: str, done: int, total: int, detail: str = "") -> None:
        pass

    def warn(self, error: UserError) -> None:
        tell(str(error))

    def should_stop(self) -> bool:
        return False
