"""A project's file: what is written is read back, mistakes are named, folders of images are adopted."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from lora_tui.errors import UserError
from lora_tui.project import FILE_NAME, PURPOSES, Project, ProjectDataset, checked_purpose


def an_image(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8)).save(path)
    return path


def write(folder: Path, text: str) -> Path:
    (folder / FILE_NAME).write_text(text, encoding="utf-8")
    return folder


def test_a_new_project_is_read_back_as_it_was_made(tmp_path: Path) -> None:
    base = tmp_path / "hat" / "model.safetensors"
    made = Project.create(
        tmp_path / "hat",
        purpose="character",
        trigger=" hatgirl ",
        base_model=str(base),
        price_per_hour=0.4,
        currency="EUR",
    )
    assert Project.load(tmp_path / "hat") == made
    assert (made.name, made.trigger, made.kind, made.purpose_title) == ("hat", "hatgirl", "concrete", "character")
    assert made.datasets == [ProjectDataset(tmp_path / "hat" / "images")]
    assert (tmp_path / "hat" / "images").is_dir()
    assert made.configs.is_dir()
    assert made.is_saved


def test_a_moved_project_finds_its_datasets(tmp_path: Path) -> None:
    Project.create(tmp_path / "a", datasets=[tmp_path / "a" / "images", tmp_path / "elsewhere"])
    (tmp_path / "a").rename(tmp_path / "b")
    paths = [entry.path for entry in Project.load(tmp_path / "b").datasets]
    assert paths == [tmp_path / "b" / "images", tmp_path / "elsewhere"]


def test_images_already_in_the_folder_become_the_dataset(tmp_path: Path) -> None:
    an_image(tmp_path / "hats" / "a.png")
    assert Project.create(tmp_path).datasets == [ProjectDataset(tmp_path / "hats")]
    assert not (tmp_path / "images").exists()


def test_an_existing_project_is_not_overwritten(tmp_path: Path) -> None:
    Project.create(tmp_path, trigger="one")
    with pytest.raises(UserError) as caught:
        Project.create(tmp_path, trigger="two")
    assert caught.value.code == "project.exists"
    assert Project.load(tmp_path).trigger == "one"


def test_saving_what_did_not_change_keeps_a_persons_comments(tmp_path: Path) -> None:
    text = '# mine\nname = "hat" # yes\n'
    project = Project.load(write(tmp_path, text))
    project.save()
    assert (tmp_path / FILE_NAME).read_text() == text
    project.trigger = "hatgirl"
    project.save()
    assert Project.load(tmp_path).trigger == "hatgirl"


def test_the_nearest_project_upwards_is_found(tmp_path: Path) -> None:
    Project.create(tmp_path / "hat")
    (tmp_path / "hat" / "runs" / "x").mkdir(parents=True)
    found = Project.find(tmp_path / "hat" / "runs" / "x")
    assert found is not None and found.root == tmp_path / "hat"
    assert Project.find(tmp_path) is None


@pytest.mark.parametrize(
    ("files", "datasets"),
    [
        (["a.png"], ["."]),
        (["a.png", "more/b.png"], ["."]),
        (["10_hat/a.png", "5_coat/b.png"], ["."]),
        (["hats/a.png", "coats/deep/b.JPG", "notes/x.txt", "runs/r/samples/s.png"], ["coats", "hats"]),
        ([".hidden/a.png", "notes/x.txt"], []),
        ([], []),
    ],
)
def test_a_folder_without_a_project_is_adopted(tmp_path: Path, files: list[str], datasets: list[str]) -> None:
    for name in files:
        path = tmp_path / name
        if path.suffix == ".txt":
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("x")
        else:
            an_image(path)
    project = Project.adopt(tmp_path)
    assert [entry.path for entry in project.datasets] == [tmp_path / name for name in datasets]
    assert project.name == tmp_path.name
    assert not project.is_saved
    assert not (tmp_path / FILE_NAME).exists()


@pytest.mark.parametrize(
    ("text", "code", "says"),
    [
        ("nmae = 'x'", "project.unknown_key", "name"),
        ("name = 3", "project.value", "name"),
        ("price_per_hour = true", "project.value", "price_per_hour"),
        ("price_per_hour = -1", "project.value", "price_per_hour"),
        ("price_per_hour = nan", "project.value", "price_per_hour"),
        ("purpose = 'charcter'", "project.purpose", "character"),
        ("purpose = 'concept'", "project.purpose", "concept-general"),
        ("[[datasets]]\npaht = 'x'", "project.unknown_key", "path"),
        ("[[datasets]]\npath = 'x'\nrepeats = -1", "project.value", "repeats"),
        ("datasets = ['x']", "project.value", "[[datasets]]"),
        ("schema_version = 99", "project.newer", "newer"),
        ("name = 'x", "project.invalid", "TOML"),
        ("price_per_hour = " + "9" * 5000, "project.invalid", "line 1"),
        ("price_per_hour = 1" + "0" * 400, "project.invalid", "price_per_hour is beyond 64 bits"),
        ("name = " + "[" * 5000, "project.invalid", "line 1"),
        ('base_model = "a\\u0000b"', "project.path", "base_model: A path cannot contain the character NUL."),
        ('[[datasets]]\npath = "~\\u0000"', "project.path", "datasets.path: A path cannot contain"),
        ('[[datasets]]\npath = "' + "x" * 300 + '"', "project.path", "longer than 255 bytes"),
    ],
)
def test_mistakes_in_the_file_are_named(tmp_path: Path, text: str, code: str, says: str) -> None:
    with pytest.raises(UserError) as caught:
        Project.load(write(tmp_path, text))
    assert caught.value.code == code
    assert FILE_NAME in caught.value.place
    assert says in str(caught.value)


def test_a_file_that_begins_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b'\xef\xbb\xbfname = "x"\r\n')
    assert Project.load(tmp_path).name == "x"


def test_a_folder_below_the_home_of_nobody_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for make in (Project.create, Project.adopt, Project.load):
        with pytest.raises(UserError, match="There is no user"):
            make(Path("~no such user/x"))
    assert not list(tmp_path.iterdir())


def test_a_folder_without_a_file_is_no_project(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        Project.load(tmp_path)
    assert caught.value.code == "project.missing"


def test_bytes_that_are_no_text_are_an_error(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError) as caught:
        Project.load(tmp_path)
    assert caught.value.code == "project.invalid"


def test_hub_names_stay_and_files_become_absolute(tmp_path: Path) -> None:
    write(tmp_path, "base_model = 'owner/model'")
    assert Project.load(tmp_path).base_model == "owner/model"
    (tmp_path / "owner" / "model").mkdir(parents=True)
    assert Project.load(tmp_path).base_model == str(tmp_path / "owner" / "model")
    write(tmp_path, "base_model = 'models/x.safetensors'")
    assert Project.load(tmp_path).base_model == str(tmp_path / "models" / "x.safetensors")


def test_every_purpose_is_of_a_kind_and_found_by_its_name() -> None:
    for name, (kind, title) in PURPOSES.items():
        assert checked_purpose(name) == name
        assert kind in ("concrete", "general")
        assert title
    assert checked_purpose("Color") == "colour"
    assert checked_purpose(" Vehicle") == "object"


def test_a_relative_folder_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    project = Project.create(Path("hat"))
    assert project.root == tmp_path / "hat"
    assert project.datasets[0].path.is_absolute()


def test_a_path_that_is_no_text_cannot_be_saved_and_says_so(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        Project.create(tmp_path / "hat", datasets=[Path("/data/\udcff")])
    assert caught.value.code == "project.unwritable"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('# mine\nname = "x"\n', '# mine\nname = "x"\ntrigger = "new"\n'),
        ('trigger = "old" # why\nname = "x"\n', 'trigger = "new" # why\nname = "x"\n'),
        (
            "name = 'x'\n\n[[datasets]] # one\npath = \"a\"\n",
            'name = \'x\'\ntrigger = "new"\n\n[[datasets]] # one\npath = "a"\n',
        ),
        ("name = 'x'\ntrigger='old'", "name = 'x'\ntrigger=\"new\""),
    ],
)
def test_another_trigger_word_leaves_the_rest_of_the_file(tmp_path: Path, before: str, after: str) -> None:
    project = Project.load(write(tmp_path, before))
    project.take_trigger(" new ")
    assert project.file.read_text() == after
    assert Project.load(tmp_path) == project


@pytest.mark.parametrize("word", ['a "b"', "a\\nb", "日本", "'", "x # y"])
@pytest.mark.parametrize("text", ['name = """\ntrigger = "a"\n[x]\n"""\n', 'trigger = """\nold"""\n', ""])
def test_any_trigger_word_is_read_back_from_any_file(tmp_path: Path, text: str, word: str) -> None:
    project = Project.load(write(tmp_path, text))
    project.take_trigger(word)
    assert Project.load(tmp_path) == project
    assert Project.load(tmp_path).trigger == word
