"""CLIP's own byte-pair tokenizer cut to the merges that a small world needs.

Of the real vocabulary's 49,408 entries stay the 512 bytes, the first merges (so that any English word still splits
sensibly) and those that the world's words need. Words keep the splits of the real tokenizer.
"""

from __future__ import annotations

import itertools
import json
import re
import shutil
from functools import cache
from pathlib import Path

import torch
from transformers import CLIPTokenizer

from lora_tui.demo.world.captions import SIZE_WORDS
from lora_tui.demo.world.scene import COLOURS, PLACES, SHAPES
from tools.micro.layout import ASSETS, TOKENS

FIRST_MERGES = 1000
OTHER_WORDS = """
    a an and at above background big center corner dots drawing eyes front ground has in is middle of on picture sized
    striped stripes that the two with without style creature standing jumping sleeping waving leaning sitting solo smile
    wink happy hat scarf no one horns feet
"""


def world_words() -> list[str]:
    """Each word that captions of the world and of the demo's datasets use, but for their trigger words."""
    phrases = [*COLOURS, *SHAPES, *PLACES, OTHER_WORDS, *(word for words in SIZE_WORDS.values() for word in words)]
    return sorted({word for phrase in phrases for word in phrase.split()})


def write_tokenizer(folder: Path) -> int:
    """Write ``vocab.json``, ``merges.txt`` and the configurations to ``folder``; return the number of entries."""
    source = ASSETS / "tokenizer"
    lines = (source / "merges.txt").read_text(encoding="utf-8").split("\n")[1:]
    merges = [(left, right) for left, right in (line.split() for line in lines if line.strip())]
    needed = _merges_for(world_words(), merges)
    kept = [merge for number, merge in enumerate(merges) if number < FIRST_MERGES or merge in needed]
    numbers = json.loads((source / "vocab.json").read_text(encoding="utf-8"))
    by_number = {number: token for token, number in numbers.items()}
    tokens = [by_number[number] for number in range(512)] + [left + right for left, right in kept]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = {token: number for number, token in enumerate(tokens)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8")
    text = "#version: 0.2\n" + "\n".join(" ".join(merge) for merge in kept) + "\n"
    (folder / "merges.txt").write_text(text, encoding="utf-8")
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        shutil.copyfile(source / name, folder / name)
    return len(tokens)


def _merges_for(words: list[str], merges: list[tuple[str, str]]) -> set[tuple[str, str]]:
    """The merges that byte-pair encoding uses on ``words``: always the earliest one that applies."""
    rank = {merge: number for number, merge in enumerate(merges)}
    needed = set()
    for word in words:
        parts = [*word[:-1], word[-1] + "</w>"]
        while len(parts) > 1:
            pairs = [
                (rank.get((left, right), len(merges)), at) for at, (left, right) in enumerate(itertools.pairwise(parts))
            ]
            best, at = min(pairs)
            if best == len(merges):
                break
            needed.add(merges[best])
            parts[at : at + 2] = [parts[at] + parts[at + 1]]
    return needed


class Words:
    """Tokenises captions of the world word by word, each word once: as the tokenizer does, many times faster."""

    def __init__(self, folder: Path) -> None:
        self.tokenizer = CLIPTokenizer.from_pretrained(folder, local_files_only=True)
        self.count = len(self.tokenizer)
        self._word = cache(self._split)

    def __call__(self, captions: list[str]) -> torch.Tensor:
        """Token ids (n, 77), int64, begun and ended and padded as the pipeline does."""
        end = self.count - 1
        ids = torch.full((len(captions), TOKENS), end)
        ids[:, 0] = end - 1
        for row, caption in enumerate(captions):
            found = [number for word in re.findall(r"[a-z]+|[^a-z\s]+", caption) for number in self._word(word)]
            found = found[: TOKENS - 2]
            ids[row, 1 : 1 + len(found)] = torch.tensor(found, dtype=torch.long)
        return ids

    def _split(self, word: str) -> tuple[int, ...]:
        return tuple(self.tokenizer(word, add_special_tokens=False).input_ids)
