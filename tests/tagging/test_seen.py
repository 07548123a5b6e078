"""What taggers saw counts for the coverage of a dataset as what captions say."""

from __future__ import annotations

import json
from pathlib import Path

from caption_folders import opened
from tagger_builders import TAGS, make_images, make_wd14

from lora_tui.cli.main import run
from lora_tui.dataset.checks import check_dataset
from lora_tui.dataset.coverage import SURE, tells
from lora_tui.dataset.scan import scan_folder
from lora_tui.tagging.request import ModelChoice, Request
from lora_tui.tagging.run import tag_dataset
from lora_tui.tagging.seen import sure_tags, telling_tags

VIEWS = [*TAGS, ("from_behind", 0, (8, -8, -8), 0.0), ("smile", 0, (-8, -8, 8), 0.0)]


def test_coverage_counts_what_a_tagger_is_sure_of(tmp_path: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    wd, data = make_wd14(tmp_path / "wd", tags=VIEWS), make_images(tmp_path / "data", {"a": "red", "b": "blue"})
    (data / "b.txt").write_text("from front")
    assert sure_tags(scan_folder(data).images[:1], SURE) == [{}]
    session = opened(data)
    request = Request((ModelChoice("wd14", str(wd)),), device="cpu", threads=1, existing="append")
    tag_dataset(session, range(2), request, dry_run=True)
    session.close()
    red, blue = sure_tags(scan_folder(data).images, SURE)
    assert "from_behind" in red and "from_behind" not in blue and "smile" in blue
    assert run(["dataset", "coverage", str(data), "--json", "--purpose", "character"]) == 0
    aspects = {one["name"]: one["kinds"] for one in json.loads(capsys.readouterr().out)["aspects"]}
    assert aspects["view"]["back"] == 1 and aspects["view"]["front"] == 1
    assert aspects["expression"]["smiling"] == 1


def test_the_check_finds_missing_what_neither_captions_nor_taggers_tell_of(tmp_path: Path) -> None:
    wd = make_wd14(tmp_path / "wd", tags=VIEWS)
    data = make_images(tmp_path / "data", {f"{n}": ("red", "blue")[n % 2] for n in range(12)})
    (data / "1.txt").write_text("from front")

    def missing() -> list[str]:
        scan = scan_folder(data)
        found = check_dataset(scan, purpose="character", told=telling_tags(scan.images))
        return [problem.message for problem in found if problem.code == "set.missing"]

    assert missing() == []  # one caption says too little
    session = opened(data)
    request = Request((ModelChoice("wd14", str(wd)),), device="cpu", threads=1, existing="append")
    tag_dataset(session, range(12), request, dry_run=True)
    session.close()
    (message,) = missing()
    assert "view: side" in message and "view: back" not in message and "view: front" not in message
    assert "expression: sad" in message and "expression: smiling" not in message


def test_tags_that_tell_nothing_of_coverage_are_left_out() -> None:
    assert tells("from_behind") and tells("looking_back") and tells("smile")
    assert not tells("hat") and not tells("dark_hair") and not tells("1girl")
