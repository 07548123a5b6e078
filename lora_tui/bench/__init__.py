"""Measurements of this machine. Each runs in a process of its own: ``python -m lora_tui.bench NAME``.

A measurement is a module with ``build(parser)`` for its options and ``measure(args)`` that returns
:class:`~lora_tui.bench.common.Measure` objects.
"""

from lora_tui.text.translate import N_

BENCHES: dict[str, tuple[str, str]] = {
    "start": ("lora_tui.bench.start", N_("first paint of the app, and what it loads")),
    "dashboard": ("lora_tui.bench.dashboard", N_("the training screen on a long and on a living run")),
    "captions": ("lora_tui.bench.captions", N_("the caption engine on 100,000 captions")),
    "tag": ("lora_tui.bench.tag", N_("tagging against bare onnxruntime, and tuning of thresholds")),
    "dataset": ("lora_tui.bench.dataset", N_("preparing, checking and tagging 10,000 images against plain loops")),
    "browser": ("lora_tui.bench.browser", N_("the images of a large dataset in the app: from a key to its repaint")),
    "lora": ("lora_tui.bench.lora", N_("resizing and merging LoRA files against dense SVD")),
    "grid": ("lora_tui.bench.grid", N_("a grid against loading and drawing cell by cell")),
    "train": ("lora_tui.bench.train", N_("a training step and its memory against a bare loop")),
}
"""Name of each measurement: the module that has it, and one line of help."""
