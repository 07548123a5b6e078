"""Writing a model's parts as a folder in diffusers' layout. Imports torch inside its function."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lora_tui.bench.language import write_language_tokenizer
from lora_tui.families.unet.encoders import Encoder
from lora_tui.families.unet.particulars import TOKENIZER, TOKENIZER_FILES
from lora_tui.files import default_mode

T5_TOKENIZER = TOKENIZER.parents[1] / "flux" / "tokenizer_2"
INDEX_VERSION = "0.30.0"
LARGE, PIECE = 1 << 24, 1 << 22
"""Values of a tensor above which only a piece of it is drawn; values of the piece."""


def write_folder(
    folder: Path,
    parts: Callable[[], Mapping[str, Any]],
    *,
    seed: int,
    clips: Sequence[Encoder] = (),
    t5_tokenizer: str = "",
    language_tokenizer: str = "",
    language_words: Sequence[str] = (),
    schedule: Mapping[str, Any],
    index: Mapping[str, Any],
    half: bool = False,
) -> Path:
    """Write the modules that ``parts`` gives, by folder, with tokenizers, schedule and index; return ``folder``.

    The modules are made with ``seed``, which leaves other random numbers as they are. With ``half`` they are drawn and
    written in bfloat16, as those of full size have to be for want of memory.
    """
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        with quick_draws():
            made = _in_half(parts) if half else parts()
        for name, part in made.items():
            part.eval().save_pretrained(folder / name)
    for clip in clips:
        write_clip_tokenizer(folder / clip.tokenizer, clip)
    if t5_tokenizer:
        (folder / t5_tokenizer).mkdir(exist_ok=True)
        shutil.copyfile(T5_TOKENIZER / "tokenizer.json", folder / t5_tokenizer / "tokenizer.json")
    if language_tokenizer:
        write_language_tokenizer(folder / language_tokenizer, language_words)
    (folder / "scheduler").mkdir(exist_ok=True)
    _write(folder / "scheduler" / "scheduler_config.json", schedule)
    for path in folder.rglob("*.safetensors"):
        path.chmod(default_mode())  # safetensors writes files that only their owner may read
    _write(folder / "model_index.json", index)  # last: its presence means complete
    return folder


def quick_draws() -> Any:
    """A context in which a large tensor is filled with copies of what is drawn for a piece of it.

    Billions of values one by one take a core minutes, and a step takes as long with any. Small models are as ever.
    """
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    draws = (torch.ops.aten.uniform_.default, torch.ops.aten.normal_.default)

    class Quick(TorchDispatchMode):  # type: ignore[misc]
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if func not in draws or args[0].numel() <= LARGE or not args[0].is_contiguous():
                return func(*args, **(kwargs or {}))
            values, done = args[0].view(-1), PIECE
            func(values[:PIECE], *args[1:], **(kwargs or {}))
            while done < len(values):
                more = min(done, len(values) - done)
                values[done : done + more].copy_(values[:more])
                done += more
            return args[0]

    return Quick()


def _in_half(parts: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any]:
    """What ``parts`` gives, made in bfloat16."""
    import torch

    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        return parts()
    finally:
        torch.set_default_dtype(before)


def write_clip_tokenizer(folder: Path, encoder: Encoder) -> None:
    """CLIP's, with the padding of this encoder."""
    folder.mkdir(exist_ok=True)
    for name in TOKENIZER_FILES:
        shutil.copyfile(TOKENIZER / name, folder / name)
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        _write(folder / name, {**json.loads((folder / name).read_text("utf-8")), "pad_token": encoder.pad})


def _write(path: Path, value: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n", "utf-8")
