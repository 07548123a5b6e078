"""``python -m lora_tui.sampling.class_images``: draws regularisation images with a base model, in its own process.

Reads one JSON document from standard input (:class:`ClassImages` as ``config``, ``folder``, ``sample``, ``count``) and
writes a JSON object a line: ``{"path": …}`` for each image that is there, at the end ``{"error": …}`` if it failed.
Images that are there already are kept, so that it goes on where it was interrupted.
"""

from __future__ import annotations

import io
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from lora_tui.config.load import parse_config
from lora_tui.config.schema import Config, SamplePrompt
from lora_tui.errors import UserError
from lora_tui.families import open_model
from lora_tui.families.devices import choose_device, choose_dtype
from lora_tui.files import write_atomic
from lora_tui.keyed import keyed_seed
from lora_tui.sampling.renderer import Renderer, RenderRequest


@dataclass(frozen=True)
class ClassImages:
    """What to draw: ``count`` images of ``sample`` into ``folder``, each from a seed of its own."""

    config: Config
    folder: Path
    sample: SamplePrompt
    count: int

    def path(self, number: int) -> Path:
        """Where image ``number`` (from 0) is."""
        return self.folder / f"class-{number + 1:04d}.png"

    def seed(self, number: int) -> int:
        return keyed_seed("class image", self.sample.seed, number) % 2**32


def draw(wanted: ClassImages, told: Any) -> None:
    """Draw what is not there; ``told`` gets each path when it is.

    Raises:
        UserError: the base model cannot be used, or there is no such device.
        OSError: the folder cannot be written.
    """
    missing = [number for number in range(wanted.count) if not wanted.path(number).is_file()]
    for number in sorted(set(range(wanted.count)) - set(missing)):
        told(wanted.path(number))
    if not missing:
        return
    memory = wanted.config.memory
    device = choose_device(memory.device)
    dtype = choose_dtype(memory.precision, device)
    if memory.threads:
        torch.set_num_threads(memory.threads)
    model = open_model(wanted.config.model, wanted.config.captions, device=device, dtype=dtype)
    renderer, sample = Renderer(model), wanted.sample
    length = model.text_length([sample.prompt, sample.negative])
    with torch.no_grad():
        positive, negative = (
            model.encode_text(model.tokenize([text], length)) for text in (sample.prompt, sample.negative)
        )
    model.release("text_encoders")
    wanted.folder.mkdir(parents=True, exist_ok=True)
    for number in missing:
        own = sample.model_copy(update={"seed": wanted.seed(number)})
        latents = renderer.latents(RenderRequest(own, positive, negative), lambda _done, _total: None)
        buffer = io.BytesIO()
        renderer.image(latents).save(buffer, "PNG")
        path = wanted.path(number)
        write_atomic(path.with_suffix(".txt"), sample.prompt.encode())
        write_atomic(path, buffer.getvalue())  # after its caption: an image that is there is whole
        told(path)


def main() -> int:
    """Draw what standard input asks for."""
    asked = json.load(sys.stdin)

    def tell(line: dict[str, Any]) -> None:
        print(json.dumps(line), flush=True)

    try:
        wanted = ClassImages(
            parse_config(asked["config"]), Path(asked["folder"]), SamplePrompt(**asked["sample"]), int(asked["count"])
        )
        draw(wanted, lambda path: tell({"path": str(path)}))
    except UserError as error:
        tell({"error": {"message": error.message, "place": error.place, "remedy": error.remedy, "code": error.code}})
        return 2
    except OSError as error:
        tell({"error": {"message": str(error), "place": asked["folder"], "remedy": "", "code": "class_images.write"}})
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
