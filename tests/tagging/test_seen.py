"""What taggers saw counts for the coverage of a dataset as what captions say."""

from __future__ import annotations

import json
from pathlib import Path

from caption_folders import opened
from tagger_builders import TAGS, make_images, make_wd14

from lora_tui.cli.main import run
from lora_tui.dataset.coverage import SURE
from lora_tui.dataset.scan import scan_folder
from lora_tui.tagging.request import ModelChoice, Request
from lora_tui.tagging.run import tag_dataset
from lora_tui.tagging.seen import sure_tags

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
