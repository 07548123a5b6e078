"""What a run leaves behind while it trains: LoRA files and sample images, each announced by an event."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from lora_tui.config.schema import SamplePrompt
from lora_tui.families.protocol import Tensors
from lora_tui.files import write_atomic
from lora_tui.sampling.infotext import parameters
from lora_tui.sampling.renderer import Renderer, RenderRequest
from lora_tui.text import _, ngettext, plain
from lora_tui.trainer.adapters.protocol import Adapter
from lora_tui.trainer.copies import Copies
from lora_tui.trainer.finite import odd_one, require_finite
from lora_tui.trainer.memory.ladder import NoRungLeft
from lora_tui.trainer.metadata import RunMetadata
from lora_tui.trainer.session import Session
from lora_tui.trainer.state import newest_step
from lora_tui.trainer.writer import Taken
from lora_tui.weights.lora_file import DTYPES, file_tensors, write_lora

AVERAGE, BEST = "-ema", "-best"
"""What the names of such files end in."""


@dataclass
class Checkpoints:
    """Writes ``checkpoints/name-001500.safetensors`` and, at the end, ``checkpoints/name.safetensors``.

    Averages are beside them (``name-001500-ema``, ``name-ema``), and so is the best (``name-best``).
    """

    session: Session
    adapter: Adapter
    metadata: RunMetadata

    def path(self, step: int, *, final: bool, kind: str = "") -> Path:
        name = self.session.config.saving.name
        stem = name if final else f"{name}-{step:06d}"
        return self.session.folder.checkpoints_dir / f"{stem}{kind}.safetensors"

    def take(self, step: int, epoch: int, copies: Copies, *, final: bool = False, kind: str = "") -> Taken:
        """A copy of the adapter as it is now (``epoch`` from 1); once it is written, an event says so.

        ``kind`` is :data:`AVERAGE`, :data:`BEST` or nothing.

        Raises:
            UserError: its weights are NaN or Inf (``nan``).
        """
        require_finite(self.adapter.tensors(), step, kept=newest_step(self.session.folder.state_dir))
        path = self.path(step, final=final or kind == BEST, kind=kind)
        tensors, wait = self._tensors(copies)
        write = partial(self._write, path, tensors, self.metadata.at(step, epoch, finished=final), step, epoch)
        return Taken.of(write, tensors.values(), wait)

    def _write(
        self, path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str], step: int, epoch: int
    ) -> Path:
        size = write_lora(path, tensors, metadata)
        relative = path.relative_to(self.session.folder.root).as_posix()
        self.session.events.emit("checkpoint", step=step, epoch=epoch, path=relative, bytes=size)
        self._remove_old()
        return path

    def _tensors(self, copies: Copies) -> tuple[dict[str, Tensor], Callable[[], object]]:
        """Those of the file, and what waits for them; in full precision where numbers grew too large for another."""
        saving = self.session.config.saving
        tensors = self._stored(saving.precision, copies)
        name = odd_one(tensors)
        if name:
            self._tell_odd(name)
            tensors = self._stored("fp32", copies)
        return copies.of(tensors) if copies.stays else (tensors, lambda: None)

    def _stored(self, precision: str, copies: Copies) -> dict[str, Tensor]:
        """Copies of the tensors of a file in ``precision``, or what ``copies`` are made of."""
        family, layout = self.session.config.model.family, self.session.config.saving.layout
        return file_tensors(
            family, self.adapter.export(), dtype=DTYPES[precision], layout=layout,
            own=not copies.stays, stays=copies.stays,
        )  # fmt: skip

    def _tell_odd(self, name: str) -> None:
        saving = self.session.config.saving
        text = _("numbers of the adapter are too large for {precision} ({name} for one): the file is written in fp32.")
        self.session.warn("saving.precision", text.format(precision=saving.precision, name=plain(name, limit=120)))

    def _remove_old(self) -> None:
        """Leave the newest of the numbered files by time of writing: after a resume, numbers begin again lower."""
        keep, name = self.session.config.saving.keep_last, self.session.config.saving.name
        if keep <= 0:
            return
        numbered = [
            path
            for path in self.session.folder.checkpoints_dir.glob("*.safetensors")
            if path.stem.startswith(f"{name}-") and path.stem.removeprefix(f"{name}-").isdigit()
        ]
        numbered.sort(key=lambda path: (path.stat().st_mtime_ns, int(path.stem.removeprefix(f"{name}-"))))
        for path in numbered[:-keep]:
            path.unlink(missing_ok=True)
            path.with_stem(f"{path.stem}{AVERAGE}").unlink(missing_ok=True)


@dataclass
class Samples:
    """Draws the configured prompts into ``samples/001500-00.png``.

    ``encode`` gives the conditioning of a prompt and its negative (equal lengths) under the adapter's present
    strength.
    """

    session: Session
    renderer: Renderer
    adapter: Adapter
    encode: Callable[[SamplePrompt], tuple[Tensors, Tensors]]
    release: Callable[[], None]

    def path(self, step: int, number: int) -> Path:
        return self.session.folder.samples_dir / f"{step:06d}-{number:02d}.png"

    def missing(self, step: int) -> list[int]:
        """Numbers of the prompts that have no image at ``step``."""
        prompts = self.session.config.samples
        return [number for number in range(len(prompts)) if not self.path(step, number).is_file()]

    def draw(self, step: int, epoch: int, numbers: Iterable[int] | None = None) -> None:
        """Draw the configured prompts (all, or those in ``numbers``); see :meth:`draw_prompts`."""
        prompts = self.session.config.samples
        chosen = range(len(prompts)) if numbers is None else numbers
        self.draw_prompts(step, epoch, [(number, prompts[number]) for number in chosen])

    def draw_prompts(self, step: int, epoch: int, chosen: Sequence[tuple[int, SamplePrompt]]) -> None:
        """Draw prompts, each under its number, with the adapter as it is now.

        Raises:
            StopRun: a stop was asked for between two denoising steps.
            OSError: the disk is full.
        """
        total = sum(prompt.steps for _number, prompt in chosen)
        count = ngettext("{n} image", "{n} images", len(chosen)).format(n=len(chosen))
        phase, done = self.session.phase("sampling", count), 0
        finished: list[tuple[int, SamplePrompt, Tensor]] = []
        for place, (number, prompt) in enumerate(chosen, start=1):
            share = sample_progress(phase, (place, len(chosen)), (done, prompt.steps, total))
            done += prompt.steps
            with self._or_without(number), self.adapter.at_strength(prompt.strength):
                work = partial(self._latents, prompt, share)
                finished.append((number, prompt, self.session.ladder.attempt("sampling", work, step=step)))
        for number, prompt, latents in finished:
            phase(total, total, _("decoding"))
            with self._or_without(number):
                work = partial(self._write, step, epoch, number, prompt, latents)
                self.session.ladder.attempt("decoding", work, step=step)
        self.release()

    def _latents(self, prompt: SamplePrompt, progress: Callable[[int, int], None]) -> Tensor:
        positive, negative = self.encode(prompt)
        return self.renderer.latents(RenderRequest(prompt, positive, negative), progress)

    @contextlib.contextmanager
    def _or_without(self, number: int) -> Iterator[None]:
        """An image that does not fit into memory in any way is left out: a training does not end over a sample."""
        try:
            yield
        except NoRungLeft as error:
            text = _("sample {number} is left out: {reason}")
            self.session.warn("sample.memory", text.format(number=number + 1, reason=error.message), error.remedy)

    def _write(self, step: int, epoch: int, number: int, prompt: SamplePrompt, latents: Tensor) -> None:
        info = PngInfo()
        info.add_itxt("parameters", parameters(prompt))
        info.add_itxt("lora-tui", f"step {step}, epoch {epoch}, {self.session.folder.name}")
        buffer = io.BytesIO()
        self.renderer.image(latents).save(buffer, "PNG", pnginfo=info)
        path = self.path(step, number)
        path.parent.mkdir(exist_ok=True)
        write_atomic(path, buffer.getvalue(), durable=False)
        relative = path.relative_to(self.session.folder.root).as_posix()
        self.session.events.emit("sample", step=step, epoch=epoch, prompt=number, path=relative, text=prompt.prompt)


def sample_progress(
    phase: Callable[[int, int, str], None], place: tuple[int, int], counted: tuple[int, int, int]
) -> Callable[[int, int], None]:
    """Progress of one image, in words and within all: some samplers take more calls than the steps asked for.

    Args:
        phase: is told how much of all is done, of how much, and what is drawn.
        place: which image of how many.
        counted: steps of the images before it, its own, and those of all.
    """
    (number, images), (before, steps, total) = place, counted

    def tell(at: int, calls: int) -> None:
        done = at * steps // max(calls, 1)
        words = _("sample {number} of {total}, step {step} of {steps}")
        now = min(done + 1, steps)  # the one that is computed
        phase(before + done, total, words.format(number=number, total=images, step=now, steps=steps))

    return tell
