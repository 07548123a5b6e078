"""``lora-tui config`` as a person and a script use it."""

import json
from pathlib import Path

import pytest
from PIL import Image

from lora_tui.cli.main import run
from lora_tui.config.load import load_config
from lora_tui.project import Project

pytestmark = pytest.mark.usefixtures("may_fetch")


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("LORA_TUI_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LORA_TUI_LANG", "en")


@pytest.fixture
def project(tmp_path) -> Path:
    """A project with six images and their captions, on a model of the hub."""
    folder = tmp_path / "hat" / "images"
    folder.mkdir(parents=True)
    for number in range(6):
        Image.new("RGB", (64, 64), (number * 40, 10, 200 - number * 30)).save(folder / f"{number}.png")
        (folder / f"{number}.txt").write_text("hatgirl, hat")
    Project.create(tmp_path / "hat", purpose="style", trigger="hatgirl", base_model="owner/model", price_per_hour=0.4)
    return tmp_path / "hat"


def answer(capsys) -> dict:
    return json.loads(capsys.readouterr().out)


def test_new_makes_the_projects_configuration(project, monkeypatch, capsys):
    monkeypatch.chdir(project)
    assert run(["config", "new", "--preset", "8gb", "--set", "steps.epochs=3", "--json"]) == 0
    told = answer(capsys)
    config = load_config(Path(told["path"]))
    assert Path(told["path"]) == project / "configs" / "hat.toml"
    assert config.model.base == "owner/model"
    assert [entry.path for entry in config.datasets] == [str(project / "images")]
    assert config.network.rank == 128  # the preset for the project's purpose
    assert config.steps.epochs == 3 and told["changed"]["steps.epochs"] == 3
    assert config.saving.trigger == "hatgirl" and "hatgirl" in config.samples[0].prompt


def test_new_takes_the_folder_of_a_project_too(project, tmp_path, capsys):
    assert run(["config", "new", str(project), "--json"]) == 0
    assert Path(answer(capsys)["path"]) == project / "configs" / "hat.toml"
    (tmp_path / "elsewhere").mkdir()
    assert run(["config", "new", str(tmp_path / "elsewhere"), "--json"]) == 0
    assert Path(answer(capsys)["path"]) == tmp_path / "elsewhere" / "config.toml"


FLUX, SDXL = "black-forest-labs/FLUX.1-dev", "stabilityai/stable-diffusion-xl-base-1.0"


def test_short_names_of_presets_are_those_of_the_projects_family(tmp_path, capsys):
    Project.create(tmp_path / "fx", purpose="style", trigger="fx", base_model=FLUX)
    path = tmp_path / "fx" / "a.toml"
    assert run(["config", "new", str(path), "--preset", "character", "--preset", "24gb", "--json"]) == 0
    assert answer(capsys)["presets"] == ["flux-character", "flux-24gb"]
    assert load_config(path).model.family == "flux"


@pytest.mark.parametrize("more", [[], ["--set", "model.family=flux"]])
def test_a_model_that_is_set_decides_the_family_before_presets_are_chosen(tmp_path, more, capsys):
    Project.create(tmp_path / "xl", purpose="style", trigger="xl", base_model=SDXL)
    alone, within = tmp_path / "alone.toml", tmp_path / "xl" / "b.toml"
    for path in (alone, within):
        line = ["--preset", "style", "--preset", "flux-24gb", "--set", f"model.base={FLUX}", *more]
        new = ["--set", "samples.0.prompt=a cat --g 2.5"] if path is alone else []
        assert run(["config", "new", str(path), *line, *new, "--json"]) == 0
        assert answer(capsys)["presets"] == ["flux-style", "flux-24gb"]
        config = load_config(path)
        assert (config.model.family, config.model.base, config.data.resolution) == ("flux", FLUX, 1024)
        assert {sample.sampler for sample in config.samples} == {"euler"}
        assert config.samples[0].guidance == (2.5 if path is alone else 3.5) and config.samples[0].width == 1024


def test_a_purpose_without_a_card_says_which_preset_fits(tmp_path, capsys):
    line = ["config", "new", str(tmp_path / "a.toml"), "--force", "--preset", "flux-character"]
    # more than any card has, whatever this machine's is
    assert run([*line, "--set", "steps.batch_size=16"]) == 0
    assert "of memory; for a card of " in (said := capsys.readouterr().out) and "add: --preset flux-" in said
    for more in (["--preset", "flux-24gb"], ["--set", "data.resolution=64", "--set", "memory.base_weights=nf4"]):
        assert run([*line, *more]) == 0
        assert "of memory; for" not in capsys.readouterr().out


def test_the_sides_of_buckets_follow_a_resolution_that_is_set(tmp_path):
    path = tmp_path / "small.toml"
    line = ["config", "new", str(path), "--force", "--set", f"model.base={FLUX}", "--set", "data.resolution=256"]
    assert run(line) == 0
    data = load_config(path).data
    assert (data.resolution, data.bucket_min, data.bucket_max) == (256, 128, 512)
    assert run([*line, "--set", "data.bucket_min=192"]) == 0
    assert load_config(path).data.bucket_min == 192


def test_samples_follow_a_resolution_that_is_set_but_for_their_own_sizes(tmp_path):
    Project.create(tmp_path / "fx", purpose="style", trigger="fx", base_model=FLUX)
    path, prompts = tmp_path / "fx" / "small.toml", tmp_path / "prompts.txt"
    line = ["config", "new", str(path), "--force", "--set", "samples.2.prompt=a cat", "--set", "data.resolution=250"]
    assert run([*line, "--set", "samples.1.height=1024", "--set", "samples.3.prompt=a dog --w 1024 --h 1024"]) == 0
    samples = load_config(path).samples
    assert [(one.width, one.height) for one in samples] == [(240, 240), (1024, 1024), (240, 240), (1024, 1024)]
    assert {(one.sampler, one.guidance) for one in samples} == {("euler", 3.5)}
    prompts.write_text("a cat\na dog --w 512\n")
    assert run([*line, "--prompts", str(prompts)]) == 0
    assert [(one.width, one.height) for one in load_config(path).samples] == [(240, 240), (512, 240)]


def test_a_preset_of_another_family_is_refused_with_where_the_family_comes_from(tmp_path, capsys):
    Project.create(tmp_path / "xl", purpose="style", trigger="xl", base_model=SDXL)
    path = tmp_path / "xl" / "c.toml"
    assert run(["config", "new", str(path), "--preset", "flux-style", "--json"]) == 2
    error = answer(capsys)["error"]
    assert f"the project's base model {SDXL}" in error["message"] and "sdxl-style" in error["remedy"]
    assert run(["config", "new", str(path), "--preset", "flux-style", "--preset", "16gb", "--json"]) == 2
    capsys.readouterr()
    assert run(["config", "new", str(tmp_path / "d.toml"), "--preset", "flux-style", "--preset", "24gb", "--json"]) == 0
    assert answer(capsys)["presets"] == ["flux-style", "flux-24gb"]


def test_new_never_replaces_a_file_unasked(tmp_path, capsys):
    path = tmp_path / "own.toml"
    assert run(["config", "new", str(path), "--preset", "character"]) == 0
    before = path.read_bytes()
    assert run(["config", "new", str(path), "--preset", "style"]) == 2
    assert path.read_bytes() == before
    assert "--force" in capsys.readouterr().err
    assert run(["config", "new", str(path), "--preset", "style", "--force"]) == 0
    assert load_config(path).network.rank == 128


@pytest.mark.parametrize("arguments", [["--preset", "charakter"], ["--set", "network.rnk=1"], ["--set", "rank"]])
def test_new_with_a_wrong_word_writes_nothing(tmp_path, arguments, capsys):
    assert run(["config", "new", str(tmp_path / "x.toml"), *arguments]) == 2
    assert not (tmp_path / "x.toml").exists()
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_check_of_a_sound_configuration_ends_with_0(project, capsys):
    path = project / "configs" / "hat.toml"
    assert run(["config", "new", str(path)]) == 0
    capsys.readouterr()
    assert run(["config", "check", str(path)]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("Ready")


def test_check_finds_problems_and_ends_with_3(project, capsys):
    path = project / "configs" / "hat.toml"
    run(["config", "new", str(path)])
    capsys.readouterr()
    values = ["--set", "samples.0.width=500", "--set", "network.alpha=999"]
    assert run(["config", "check", str(path), *values, "--json"]) == 3
    found = {item["code"]: item for item in answer(capsys)["findings"]}
    assert found["samples.size"]["severity"] == "error"
    assert found["network.alpha_above_rank"]["field"] == "network.alpha"


def test_check_lists_every_wrong_value_of_a_file(tmp_path, capsys):
    path = tmp_path / "x.toml"
    path.write_text("[network]\nrank = 0\nrnk = 3\n")
    assert run(["config", "check", str(path), "--json"]) == 3
    assert {item["field"] for item in answer(capsys)["findings"]} == {"network.rank", "network.rnk"}
    assert run(["config", "check", str(path)]) == 3
    assert "network.rank" in capsys.readouterr().out


@pytest.mark.parametrize("text", [None, "[network", "schema_version = 99\n"])
def test_check_of_what_cannot_be_read_ends_with_2(tmp_path, text, capsys):
    path = tmp_path / "x.toml"
    if text is not None:
        path.write_text(text)
    assert run(["config", "check", str(path), "--json"]) == 2
    assert answer(capsys)["error"]["code"].startswith("config.")


def test_plan_tells_steps_files_memory_and_room(project, capsys):
    path = project / "configs" / "hat.toml"
    run(["config", "new", str(path), "--set", "steps.epochs=2", "--set", "steps.batch_size=4"])
    capsys.readouterr()
    assert run(["config", "plan", str(path), "--json"]) == 0
    plan = answer(capsys)
    assert (plan["total_steps"], plan["steps_per_epoch"], plan["images"]) == (4, 2, 6)
    assert plan["checkpoints"] == [2, 4]
    assert plan["memory_total"] == sum(plan["memory_bytes"].values()) > 1_700_000_000
    assert plan["seconds"] is None and plan["cost"] is None and plan["disk_free"] > 0
    assert run(["config", "plan", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("6 images -> 2 batches of 4 x 2 epochs = 4 steps")


def test_a_plan_of_what_would_not_start_ends_as_the_check_does(project, capsys):
    path = project / "configs" / "hat.toml"
    run(["config", "new", str(path), "--set", "samples.0.width=500"])
    capsys.readouterr()
    assert run(["config", "check", str(path)]) == 3
    capsys.readouterr()
    assert run(["config", "plan", str(path)]) == 3
    assert any(line.startswith("×") for line in capsys.readouterr().out.splitlines())
    assert run(["config", "plan", str(path), "--json"]) == 3
    assert "samples.size" in {item["code"] for item in answer(capsys)["findings"] if item["severity"] == "error"}


@pytest.mark.parametrize("value", ["datasets.0.path=/nowhere", "datasets.0.path=configs", "datasets.0.path="])
def test_plan_without_images_says_so(project, monkeypatch, value, capsys):
    monkeypatch.chdir(project)
    run(["config", "new"])
    capsys.readouterr()
    assert run(["config", "plan", "configs/hat.toml", "--set", value, "--json"]) == 2
    assert answer(capsys)["error"]["code"].startswith("dataset")


@pytest.mark.parametrize(("path", "says"), [("", "No dataset folder is named."), ("/nowhere", "There is no folder")])
def test_plan_names_the_folder_that_is_wrong_and_never_takes_the_current_one(project, monkeypatch, path, says, capsys):
    monkeypatch.chdir(project / "images")
    run(["config", "new", "x.toml"])
    capsys.readouterr()
    assert run(["config", "plan", "x.toml", "--set", f"datasets.0.path={path}"]) == 2
    assert capsys.readouterr().err.startswith(f"lora-tui: x.toml: datasets.0.path: {says}")


def test_plan_without_a_folder_says_how_to_add_one(tmp_path, capsys):
    run(["config", "new", str(tmp_path / "x.toml")])
    capsys.readouterr()
    assert run(["config", "plan", str(tmp_path / "x.toml")]) == 2
    assert "datasets.0.path" in capsys.readouterr().err


def test_presets_are_listed(capsys):
    assert run(["config", "presets", "--json"]) == 0
    names = [preset["name"] for preset in answer(capsys)["presets"]]
    assert "sd15-character" in names and "sd15-8gb" in names
    assert run(["config", "presets"]) == 0
    assert "sd15-style" in capsys.readouterr().out
