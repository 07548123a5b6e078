"""A grid is scored: what is recommended, written, and done again, and what is said where something lacks."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from grid_models import Quiet
from PIL import Image
from scored_grids import STEPS, as_trained, creature, ordinary, paint, scored_grid, scored_run, stands_in

from lora_tui.demo.grid import make_grid
from lora_tui.grids.ask import Wanted, asked, made
from lora_tui.grids.folder import GridFolder
from lora_tui.grids.outputs import Shown
from lora_tui.grids.work import work as draw
from lora_tui.runs.folder import RunFolder
from lora_tui.scores.told import Scores, read_scores
from lora_tui.scores.work import work


def scored(folder: GridFolder, *encoders: str, **more: Any) -> tuple[Scores, dict[str, Any], Quiet]:
    report = Quiet(more.pop("most", 1 << 30))
    result = work({"folder": str(folder.root), "encoders": encoders, **more}, report)  # type: ignore[arg-type]
    found = read_scores(folder.root)
    return found or Scores(), result, report


@pytest.fixture(scope="module")
def painted(tmp_path_factory: pytest.TempPathFactory) -> GridFolder:
    """Checkpoints against strengths of a run, three prompts, three seeds; scored by the small encoder."""
    folder = scored_grid(scored_run(tmp_path_factory.mktemp("scored")))
    paint(folder, as_trained)
    scored(folder, "micro")
    return folder


def test_the_recommended_cell_is_far_more_like_the_training_images_than_the_baseline(painted: GridFolder) -> None:
    """Step 100 at 1 and step 200 at 0.5 draw the same pictures: too close to call, and the earlier one is taken."""
    found = read_scores(painted.root)
    assert found is not None and found.recommendation is not None
    best = found.recommendation
    assert (best.checkpoint, best.strength, best.by) == ("100", "1", "scores")
    assert best.close and [(one.checkpoint, one.strength) for one in found.tied] == [("200", "0.5")]
    base = next(one for one in found.choices if one.base)
    gains = [
        (found.cells[key].likeness or 0) - (found.cells[before].likeness or 0)
        for key, before in zip(best.cells, base.cells, strict=True)
        if "mimbu" in _prompt(painted, key)
    ]
    mean = sum(gains) / len(gains)
    spread = (sum((gain - mean) ** 2 for gain in gains) / (len(gains) - 1)) ** 0.5
    assert len(gains) == 6 and mean > 0.4 and mean > 4 * spread / len(gains) ** 0.5
    assert base.behind_low is not None and base.behind_low > 0.3
    overdone = next(one for one in found.choices if (one.checkpoint, one.strength) == ("200", "1"))
    assert (overdone.bleed or 0) > 0.5 > (overdone.score or 0) and not overdone.tied


def _prompt(folder: GridFolder, key: str) -> str:
    cells = json.loads((folder.root / "cells.json").read_text())["cells"]
    return str(next(one["settings"]["prompt"] for one in cells if one["key"] == key))


def test_strength_0_is_the_base_and_the_sheet_has_every_cell(painted: GridFolder) -> None:
    grid = painted.read()
    assert {grid.cell(place).loras for place in grid.places() if place[0] == 0} == {()}
    sheets = sorted(painted.root.glob("sheet-*.png"))
    assert len(sheets) == 9
    told = json.loads((painted.root / "cells.json").read_text())["cells"]
    for number, path in enumerate(sheets):
        page = told[number * 6 : number * 6 + 6]
        with Image.open(path) as sheet:
            pixels = sheet.convert("RGB")
        for one in page:
            with Image.open(painted.root / one["file"]) as picture:
                assert stands_in(pixels, picture.convert("RGB")), one["place"]


def test_numbers_stand_in_the_tables(painted: GridFolder) -> None:
    found = read_scores(painted.root)
    assert found is not None and len(found.cells) == 45
    cells = json.loads((painted.root / "cells.json").read_text())["cells"]
    assert all(one["scores"]["likeness"] == found.cells[one["key"]].likeness for one in cells)
    with (painted.root / "cells.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["likeness"]) for row in rows] == [one["scores"]["likeness"] for one in cells]
    assert all(row["nearest image"].endswith(".png") and "/" not in row["nearest image"] for row in rows)
    assert str(painted.root) not in (painted.root / "cells.csv").read_text()
    page = (painted.root / "index.html").read_text()
    assert "likeness" in page and found.recommendation is not None and found.recommendation.reasons[0][:20] in page


def test_only_new_pictures_are_looked_at(painted: GridFolder, tmp_path: Path) -> None:
    """Nothing of 45 pictures and 24 images is looked at twice, of a grid that grew only what is new."""
    copy = GridFolder(shutil.copytree(painted.root, tmp_path / "copy"))
    for fresh in (45 + 24, 0):
        _found, result, _report = scored(copy, "micro")
        assert (result["fresh"], result["scored"]) == (fresh, 45)
    made(asked(Wanted(str(copy.root), axes=(("--x", "strength=0.75"),))))
    paint(copy, as_trained)
    _found, result, _report = scored(copy, "micro")
    assert (result["fresh"], result["scored"]) == (6, 45 + 18)  # the other twelve hold what was seen before


def test_a_scoring_that_is_stopped_goes_on_where_it_was(painted: GridFolder, tmp_path: Path) -> None:
    folder = GridFolder(shutil.copytree(painted.root, tmp_path / "copy"))
    before = read_scores(folder.root)
    _found, result, _report = scored(folder, "micro", most=2)
    assert not result["complete"] and read_scores(folder.root) == before
    found, result, _report = scored(folder, "micro")
    assert result["complete"] and 0 < result["fresh"] < 69
    assert before is not None
    scores = [one.score for one in before.choices]
    assert [one.score for one in found.choices] == pytest.approx(scores, abs=1e-4)


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return scored_run(tmp_path, images=6)


def small(run: RunFolder, *axes: str, **more: Any) -> GridFolder:
    folder = scored_grid(run, *axes, **more)
    paint(folder, as_trained)
    return folder


def test_without_a_model_the_validation_loss_recommends_and_says_so(run: RunFolder) -> None:
    found, result, _report = scored(small(run, "strength=0,0.5,1", "checkpoint=all"))
    assert result["recommended"] == {"checkpoint": "200", "strength": "1", "by": "validation"}
    assert found.recommendation is not None and len(found.recommendation.cells) == 3 and not found.cells
    assert "validation loss of 0.1000 is the lowest of 2" in found.recommendation.reasons[0]
    assert "No model looked at the pictures" in found.recommendation.reasons[1]
    found, _result, _report = scored(small(run, "strength=0.5,1.5", "checkpoint=100"))
    assert found.recommendation is not None
    assert (found.recommendation.checkpoint, found.recommendation.strength) == (str(STEPS[0]), "0.5")
    run.events_path.unlink()
    found, _result, _report = scored(small(run, "strength=0,1", "checkpoint=all", name="none"))
    assert found.recommendation is None and "nothing tells which is best" in found.notes[-1]


def test_no_held_out_images_and_none_at_all(run: RunFolder, tmp_path: Path) -> None:
    folder = small(run, "strength=0,1", "checkpoint=all", "seed=1,2")
    found, _result, _report = scored(folder, "micro")
    assert (found.references.training, found.references.held_out) == (6, 0)
    assert all(one.held_out is None and one.likeness is not None for one in found.choices)
    shutil.rmtree(tmp_path / "datasets")
    found, result, _report = scored(folder, "micro")
    assert result["complete"] and found.recommendation is not None
    assert (found.recommendation.by, found.recommendation.checkpoint) == ("validation", "200")
    assert "does not tell them apart" in found.recommendation.reasons[1]
    assert any("The training images are not there any more" in note for note in found.notes)
    assert all(one.likeness is None and one.nearest is None for one in found.cells.values())
    assert all(one.variety is not None and one.bleed is not None for one in found.choices)


def test_the_demos_grid_is_scored_when_it_is_drawn(run: RunFolder) -> None:
    """Its pictures are there already, so that nothing is drawn; strength 0 stands once for each prompt and seed."""
    folder, options = make_grid(run.root)
    paint(folder, as_trained)
    assert (folder.read().count, len(folder.there())) == (4 * 2 * 2 * 3, (1 + 3 * 2) * 2 * 3)
    result = draw(options, Quiet())  # type: ignore[arg-type]
    assert result["complete"] and result["drawn"] == 0
    assert result["scores"]["recommended"]["by"] == "scores"
    assert read_scores(folder.root) is not None


def test_one_seed_and_a_grid_without_checkpoints(run: RunFolder) -> None:
    found, _result, _report = scored(small(run, "strength=0,0.5,1"), "micro")
    assert found.recommendation is not None
    assert (found.recommendation.checkpoint, found.recommendation.strength) == ("200", "0.5")
    assert any("All is of one seed" in reason for reason in found.recommendation.reasons)
    assert all(one.variety is None for one in found.choices)


def test_one_prompt_one_seed_has_no_interval(run: RunFolder) -> None:
    found, _result, _report = scored(small(run, "strength=0,1", prompts=("mimbu, left, blue background",)), "micro")
    assert found.recommendation is not None and found.recommendation.low is None
    assert any("nothing is sure" in reason for reason in found.recommendation.reasons)
    assert any("no prompt lacks the trigger word" in note for note in found.notes)


def test_pictures_that_fail_are_missing_or_damaged(run: RunFolder) -> None:
    folder = small(run, "strength=0,1", "checkpoint=all", "seed=1,2")
    pictures = sorted(folder.cells.iterdir())
    pictures[0].unlink()
    pictures[1].write_bytes(b"no picture")
    found, result, report = scored(folder, "micro")
    assert result["complete"] and len(found.cells) == len(pictures) - 2
    assert [warning.place for warning in report.warnings] == [str(pictures[1])]
    assert "1 picture is not there." in found.notes
    assert found.recommendation is not None


def test_a_copy_of_a_training_image_raises_the_alarm(run: RunFolder) -> None:
    def copied(one: Shown) -> Image.Image:
        return creature(3) if one.cell.loras and "mimbu" in one.cell.prompt else ordinary(one.cell.seed)

    folder = scored_grid(run, "strength=0,1", "seed=1,2")
    paint(folder, copied)
    found, _result, _report = scored(folder, "micro")
    worn = next(one for one in found.choices if not one.base)
    assert worn.copies == 4
    key = next(key for key in worn.cells if found.cells[key].copied)
    assert found.cells[key].nearest == pytest.approx(1, abs=1e-4)
    assert found.cells[key].nearest_image.endswith("03.png")
    assert found.recommendation is not None
    assert any("4 of 4 pictures are nearly copies" in reason for reason in found.recommendation.reasons)


def test_a_grid_without_any_lora_has_nothing_to_recommend(run: RunFolder) -> None:
    found, _result, _report = scored(small(run, "strength=0", "seed=1,2"), "micro")
    assert found.recommendation is None and "nothing to recommend" in found.notes[-1]
    empty = scored_grid(run, "strength=0,1", name="empty")
    found, result, _report = scored(empty, "micro")
    assert result["complete"] and found.recommendation is None and found.cells == {}
    assert "There is no picture to look at" in found.notes[-1]
