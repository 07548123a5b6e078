"""``lora info``: what LoRA files hold, without loading them."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_tui.text.translate import N_, _, ngettext

if TYPE_CHECKING:
    from lora_tui.weights.header import LoraInfo

SHOWN_TAGS = 8
WRONG = 2
TOLD = (
    ("ss_output_name", N_("name")),
    ("modelspec.title", N_("title")),
    ("modelspec.trigger_phrase", N_("trigger word")),
    ("ss_sd_model_name", N_("base model")),
    ("ss_steps", N_("steps")),
    ("ss_epoch", N_("epochs")),
    ("ss_num_train_images", N_("images")),
    ("ss_resolution", N_("resolution")),
    ("ss_optimizer", N_("optimizer")),
    ("ss_training_comment", N_("comment")),
)
"""Metadata that a person asks for first, and what we call them."""


def build(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    commands = parser.add_subparsers(dest="action", required=True, metavar="info")
    info = commands.add_parser("info", help=_("family, rank, alpha, modules and metadata of LoRA files"))
    info.add_argument("files", type=Path, metavar="FILE", nargs="+", help=_("several are shown as a table"))
    info.add_argument("--metadata", action="store_true", help=_("also print every metadata entry"))
    info.add_argument("--json", action="store_true", help=_("one JSON document with everything"))


def run(args: argparse.Namespace) -> int:
    """Print what the files say of themselves."""
    if len(args.files) > 1:
        return _many(args)
    from lora_tui.cli.output import print_json, say
    from lora_tui.weights.header import lora_info

    (file,) = args.files
    info = lora_info(file)
    if args.json:
        print_json({"file": file, **info.as_dict()})
        return 0
    from lora_tui.text.plain import plain

    say(plain(file.name))
    for title, value in _lines(info):
        say(f"  {title:<16} {value}")
    if args.metadata:
        say()
        for key, value in sorted(info.metadata.items()):
            say(f"  {plain(key)} = {plain(value)}")
    return 0


def _many(args: argparse.Namespace) -> int:
    """One row for each file; those that cannot be read are named, and the status says that there are some."""
    from lora_tui.cli.output import note, print_json, say, table
    from lora_tui.errors import UserError
    from lora_tui.text.formats import bytes_text
    from lora_tui.text.plain import plain
    from lora_tui.weights.header import lora_info

    found: list[tuple[Path, LoraInfo]] = []
    wrong: list[tuple[Path, UserError]] = []
    for file in args.files:
        try:
            found.append((file, lora_info(file)))
        except UserError as error:
            wrong.append((file, error))
    if args.json:
        documents = [{"file": file, **info.as_dict()} for file, info in found]
        print_json({"files": documents, "errors": [{"file": file, **error.as_dict()} for file, error in wrong]})
        return WRONG if wrong else 0
    rows = [
        (
            plain(str(file)),
            plain(info.metadata.get("ss_steps", "-"), limit=12),
            _spread(info.ranks) or "-",
            _spread({f"{a:g}": n for a, n in info.alphas.items()}) or "-",
            bytes_text(info.size),
        )
        for file, info in found
    ]
    if rows:
        say(table(rows, (_("file"), _("step"), _("rank"), _("alpha"), _("size")), right=range(1, 5)))
    if args.metadata:
        for file, info in found:
            say()
            say(plain(str(file)))
            for key, value in sorted(info.metadata.items()):
                say(f"  {plain(key)} = {plain(value)}")
    for _file, problem in wrong:
        note(plain(f"lora-tui: {problem}"))
    return WRONG if wrong else 0


def _lines(info: LoraInfo) -> Iterator[tuple[str, str]]:
    from lora_tui.text.formats import bytes_text
    from lora_tui.text.plain import plain

    yield _("family"), info.family
    yield _("kind"), _("{kind}, {layout} names").format(kind=info.kind, layout=info.layout)
    yield _("rank"), _spread(info.ranks) or "-"
    yield _("alpha"), _spread({f"{a:g}": n for a, n in info.alphas.items()}) or _("not stated: acts as rank")
    if info.rank and info.alpha is not None:
        yield _("scale"), f"{info.alpha / info.rank:g}"
    yield (
        _("modules"),
        _("{modules}: {unet} image model, {text} text encoder").format(
            modules=info.modules, unet=info.unet_modules, text=info.text_encoder_modules
        ),
    )
    yield _("tensors"), _("{dtype}, file {size}").format(dtype=info.dtype, size=bytes_text(info.size))
    for key, title in TOLD:
        value = info.metadata.get(key, "")
        if value and value != "None":
            yield _(title), plain(value, limit=120)
    tags = _common_tags(info.metadata)
    if tags:
        yield _("tags"), plain(", ".join(tags), limit=120)
    entries = ngettext("{count} entry, shown by --metadata", "{count} entries, shown by --metadata", len(info.metadata))
    yield _("metadata"), entries.format(count=len(info.metadata))


def _spread(values: Mapping[Any, int]) -> str:
    """One value as itself; several as ``16 (180), 8 (12)``."""
    if len(values) < 2:
        return "".join(str(value) for value in values)
    return ", ".join(f"{value} ({number})" for value, number in values.items())


def _common_tags(metadata: Mapping[str, str]) -> list[str]:
    """The commonest tags of the training set, from ``ss_tag_frequency`` (folder -> tag -> count)."""
    import json
    from collections import Counter

    try:
        folders = json.loads(metadata.get("ss_tag_frequency", ""))
    except (ValueError, RecursionError):
        return []
    totals: Counter[str] = Counter()
    for tags in folders.values() if isinstance(folders, dict) else ():
        if isinstance(tags, dict):
            totals.update({tag.strip(): number for tag, number in tags.items() if isinstance(number, int)})
    return [tag for tag, _number in totals.most_common(SHOWN_TAGS)]
