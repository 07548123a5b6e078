import argparse
import random
from pathlib import Path

import pytest

from lora_tui.bench.captions import bare_loop, build, make_dataset, make_tags, measure
from lora_tui.captions.corpus import Corpus
from lora_tui.errors import UserError


def options(*args: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    build(parser)
    return parser.parse_args(args)


def test_a_made_up_dataset_is_like_those_of_booru_sites(tmp_path: Path) -> None:
    tags = make_dataset(tmp_path / "set", 300)
    corpus = Corpus.open(tmp_path / "set")
    assert len(corpus.entries) == 300
    assert 24 < sum(len(entry.tags) for entry in corpus.entries) / 300 < 32
    assert corpus.index.count(tags[0]) > 100
    assert 2_000 < len(corpus.index) < len(tags) == 20_000
    assert len(set(make_tags(500, random.Random(1)))) == 500


def test_the_bare_loop_replaces_files(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    bare_loop({tmp_path / "a": b"new"})
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a", b"new")]


def test_every_row_is_measured_in_small(tmp_path: Path) -> None:
    small = options("--images", "200", "--pairs", "1", "--names", "2000", "--keys", "12", "--dir", str(tmp_path))
    figures = list(measure(small))
    engine = [("s", 3.0), ("s", 1.5), ("bytes", 350e6), ("ms", 50.0), ("ms", None), ("ms", 20.0), ("s", None)]
    rename, edits = [("s", None), ("s", 0.5)], [("ratio", 2.0), ("ratio", 2.0)]
    app = [("s", None), ("ms", 30.0), ("ms", 30.0), ("ms", None), ("bytes", 600e6)]
    assert [(figure.unit, figure.bar) for figure in figures] == [*engine, *rename, *app, *edits]
    assert all(figure.value > 0 for figure in figures)
    assert list(tmp_path.iterdir()) == []


def test_too_few_images_are_refused() -> None:
    with pytest.raises(UserError):
        list(measure(options("--images", "3")))
