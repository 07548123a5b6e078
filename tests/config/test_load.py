"""Reading and writing configurations."""

import tomllib
from pathlib import Path

import pytest
from config_samples import FEW, SOME, config_with, configs
from hypothesis import given
from hypothesis import strategies as st

from lora_tui.config.fields import fields, sections
from lora_tui.config.load import (
    ConfigErrors,
    dump_config,
    load_config,
    parse_config,
    save_config,
    set_value,
    set_values,
)
from lora_tui.config.schema import SCHEMA_VERSION, Config
from lora_tui.errors import UserError

NAMES = st.text("abc ~.-é#\"'", min_size=1, max_size=8).filter(lambda name: name not in (".", ".."))
PLACES = st.lists(NAMES, min_size=1, max_size=4).map(lambda parts: "/" + "/".join(parts))
BASES = st.sampled_from(["/a/b", "/a", "/a/b/c", "/"]).map(Path)


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "hat.toml"
    path.write_text(text, encoding="utf-8")
    return path


def mistakes(data: dict[str, object]) -> dict[str, UserError]:
    with pytest.raises(ConfigErrors) as caught:
        parse_config(data)
    return {error.place: error for error in caught.value.errors}


@SOME
@given(configs(), st.booleans())
def test_what_is_dumped_reads_back_equal(config, comments):
    assert parse_config(tomllib.loads(dump_config(config, comments=comments))) == config


@SOME
@given(configs(places=PLACES), BASES, st.booleans())
def test_places_written_relative_to_a_folder_read_back_from_it(config, base, comments):
    text = dump_config(config, comments=comments, base=base)
    assert parse_config(tomllib.loads(text), base=base) == config


@SOME
@given(configs(places=PLACES))
def test_a_saved_file_reads_back_equal(tmp_path_factory, config):
    path = tmp_path_factory.mktemp("saved") / "deeper" / "hat.toml"
    save_config(config, path)
    assert load_config(path) == config


def test_every_setting_is_written_with_a_comment():
    text = dump_config(config_with(datasets=[{}], samples=[{}]), comments=True)
    for section in sections():
        assert f"[{section.name}]" in text
    assert text.count("\n# ") >= len(fields())
    assert "# rank: from 1 to 320\nrank = 32" in text


def test_what_is_left_out_has_its_default(tmp_path):
    path = written(tmp_path, "[network]\nrank = 8\n")
    assert load_config(path) == config_with(network={"rank": 8})


def test_relative_places_count_from_the_folder_of_the_file(tmp_path):
    path = written(tmp_path, '[model]\nbase = "../m/x.safetensors"\n[[datasets]]\npath = "images"\n')
    config = load_config(path)
    assert config.model.base == str(tmp_path.parent / "m" / "x.safetensors")
    assert config.datasets[0].path == str(tmp_path / "images")


def test_a_hub_name_stays_unless_it_is_a_folder_there(tmp_path):
    path = written(tmp_path, '[model]\nbase = "owner/model"\n')
    assert load_config(path).model.base == "owner/model"
    (tmp_path / "owner" / "model").mkdir(parents=True)
    assert load_config(path).model.base == str(tmp_path / "owner" / "model")


def test_a_folder_named_like_a_hub_name_is_written_as_a_place(tmp_path):
    config = config_with(model={"base": str(tmp_path / "owner" / "model")})
    save_config(config, tmp_path / "hat.toml")
    assert load_config(tmp_path / "hat.toml") == config  # the folder is not there


def test_a_project_may_be_moved_with_its_configuration(tmp_path):
    config = config_with(datasets=[{"path": str(tmp_path / "a" / "images")}])
    save_config(config, tmp_path / "a" / "configs" / "hat.toml")
    (tmp_path / "a").rename(tmp_path / "b")
    assert load_config(tmp_path / "b" / "configs" / "hat.toml").datasets[0].path == str(tmp_path / "b" / "images")


def test_several_wrong_values_are_reported_at_once():
    found = mistakes({"network": {"rank": 999, "alpha": "big"}, "steps": {"batch_size": 0}, "data": {"flip": 1}})
    assert set(found) == {"network.rank", "network.alpha", "steps.batch_size", "data.flip"}
    assert "999" in found["network.rank"].message
    assert "from 1 to 320" in found["network.rank"].message
    assert found["network.rank"].code == "config.value"


def test_all_wrong_values_are_in_the_one_line_that_a_command_prints(tmp_path):
    path = written(tmp_path, "[network]\nrank = 0\nalpha = 0\n")
    with pytest.raises(UserError) as caught:
        load_config(path)
    assert "network.rank" in str(caught.value) and "network.alpha" in str(caught.value)
    assert str(caught.value).count(str(path)) == 1


@pytest.mark.parametrize(
    ("table", "key", "meant"),
    [
        ("network", "rnak", "network.rank"),
        ("network", "dim", "network.rank"),
        ("network", "network_alpha", "network.alpha"),
        ("steps", "rank", "network.rank"),
        ("learning", "text_encoder_learning_rate", "learning.text_encoder_lr"),
        ("datasets", "num_repeats", "datasets.repeats"),
    ],
)
def test_an_unknown_key_is_an_error_that_names_what_was_meant(table, key, meant):
    entry = {key: 1}
    found = mistakes({table: [entry] if table == "datasets" else entry})
    (error,) = found.values()
    assert error.code == "config.unknown_key"
    assert meant in error.remedy


def test_an_unknown_table_or_a_setting_outside_its_table_is_an_error_too():
    assert "[network]" in mistakes({"netwrok": {"rank": 1}})["netwrok"].remedy
    assert "network.rank" in mistakes({"network_dim": 8})["network_dim"].remedy


@given(st.sampled_from(sections()), st.text(st.characters(codec="utf-8"), max_size=12), st.integers())
def test_no_unknown_key_ever_passes(section, name, value):
    if name in {spec.name for spec in section.fields}:
        return
    entry = {name: value}
    (error,) = mistakes({section.name: [entry] if section.repeated else entry}).values()
    assert error.code == "config.unknown_key" and error.remedy


def test_a_table_must_be_a_table_and_a_list_a_list():
    assert "[network]" in mistakes({"network": 3})["network"].message
    assert "[[datasets]]" in mistakes({"datasets": {"path": "x"}})["datasets"].message


@pytest.mark.parametrize("value", [float("nan"), float("inf"), True, "1", [1]])
def test_odd_values_are_no_numbers(value):
    assert set(mistakes({"learning": {"unet_lr": value}})) == {"learning.unet_lr"}


@pytest.mark.parametrize(
    "key", ["steps.max_steps", "steps.epochs", "learning.warmup", "saving.every_steps", "sampling.every_epochs"]
)
def test_a_number_of_steps_or_epochs_has_a_limit_that_is_told(key):
    with pytest.raises(ConfigErrors, match=r"1000000000 is not allowed; .* must be a whole number, from [01] to 10"):
        set_value(Config(), key, "1000000000")


def test_a_file_from_a_newer_version_is_refused_before_its_keys_are_looked_at(tmp_path):
    path = written(tmp_path, f"schema_version = {SCHEMA_VERSION + 1}\n[future]\nx = 1\n")
    with pytest.raises(UserError) as caught:
        load_config(path)
    assert caught.value.code == "config.newer_version"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (None, "config.missing"),
        (b"[network\n", "config.syntax"),
        (b"\xff\xfe[", "config.encoding"),
        (b"schema_version = 'x'\n", "config.version"),
        (b"schema_version = 0\n", "config.version"),
        (b"a = " + b"[" * 5000, "config.syntax"),
        (b"[network]\nrank = " + b"9" * 5000, "config.syntax"),
        (b"[network]\nrank = 0x" + b"f" * 5000, "config.syntax"),
        (b".".join([b"a"] * 5000) + b" = 1", "config.syntax"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(tmp_path, content, code):
    path = tmp_path / "hat.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        load_config(path)
    assert caught.value.code == code
    assert caught.value.place == str(path)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a\\u0000b", "A path cannot contain the character NUL."),
        ("~\\u0000", "A path cannot contain the character NUL."),
        ("x" * 256, "A name in the path is longer than 255 bytes."),
        ("x/" * 2500, "The path is longer than 4095 bytes."),
    ],
)
def test_a_place_that_nothing_can_have_is_refused_by_its_setting(tmp_path, text, reason):
    settings = {"model.base": "[model]\nbase", "model.vae": "[model]\nvae", "datasets.0.path": "[[datasets]]\npath"}
    for key, head in settings.items():
        path = written(tmp_path, f'{head} = "{text}"\n')
        with pytest.raises(UserError) as caught:
            load_config(path)
        assert (caught.value.place, caught.value.message) == (f"{path}: {key}", reason)
    with pytest.raises(UserError, match=reason):
        set_value(Config(), "model.base", text.replace("\\u0000", "\0"))


def test_a_folder_in_place_of_a_file_says_why(tmp_path):
    with pytest.raises(UserError) as caught:
        load_config(tmp_path)
    assert caught.value.code == "config.unreadable"


def test_a_byte_order_mark_does_no_harm(tmp_path):
    path = tmp_path / "hat.toml"
    path.write_bytes(b"\xef\xbb\xbf[network]\r\nrank = 8\r\n")
    assert load_config(path).network.rank == 8


def test_saving_where_nothing_can_be_written_is_a_users_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError) as caught:
        save_config(Config(), tmp_path / "file" / "hat.toml")
    assert caught.value.code == "config.write"


def test_a_text_that_is_not_utf8_is_refused_when_written():
    with pytest.raises(UserError) as caught:
        dump_config(config_with(datasets=[{"path": "/x/\udcff"}]))
    assert caught.value.code == "config.encoding"


def text_of(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


@FEW
@given(configs(places=PLACES))
def test_setting_each_value_from_its_text_gives_the_same_configuration(config):
    built = Config()
    for section in sections():
        entries = getattr(config, section.name)
        for number, entry in enumerate(entries if section.repeated else [entries]):
            for spec in section.fields:
                value = getattr(entry, spec.name)
                if spec.kind == "list":
                    continue  # commas and blanks around texts are how the list is written
                key = f"{section.name}.{number}.{spec.name}" if section.repeated else spec.key
                built = set_value(built, key, text_of(value))
    built.captions.extensions, built.optimizer.args = config.captions.extensions, config.optimizer.args
    built.network.layers, built.model.loras = config.network.layers, config.model.loras
    built.data.more_resolutions = config.data.more_resolutions
    built.learning.schedule_args = config.learning.schedule_args
    for mine, theirs in zip(built.datasets, config.datasets, strict=True):
        mine.extensions = theirs.extensions
    assert built == config


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("network.rank", " 64 ", 64),
        ("learning.unet_lr", "1e-3", 1e-3),
        ("data.flip", "Yes", True),
        ("data.flip", "off", False),
        ("data.bucket_step", "32", 32),
        ("captions.extensions", ".txt, .tags", [".txt", ".tags"]),
    ],
)
def test_values_are_read_as_people_write_them(key, text, value):
    config = set_value(Config(), key, text)
    section, name = key.split(".")
    assert getattr(getattr(config, section), name) == value


def test_every_wrong_value_of_set_is_named():
    with pytest.raises(ConfigErrors) as caught:
        set_values(Config(), ["network.rank=many", "steps.epochs=3", "network.rnk=3", "nothing"])
    assert len(caught.value.errors) == 3


def test_setting_the_entry_after_the_last_adds_one():
    config = set_value(set_value(Config(), "samples.0.prompt", "a"), "samples.1.prompt", "b")
    assert [sample.prompt for sample in config.samples] == ["a", "b"]


def test_a_place_counts_from_the_given_folder_else_from_the_current_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert set_value(Config(), "datasets.0.path", "images").datasets[0].path == str(tmp_path / "images")
    given_folder = set_value(Config(), "model.base", "x.safetensors", base=Path("/m"))
    assert given_folder.model.base == "/m/x.safetensors"


@pytest.mark.parametrize(
    ("key", "text", "code", "remedy"),
    [
        ("network.rank", "many", "config.value", ""),
        ("network.rank", "999", "config.value", ""),
        ("network.rank", "", "config.value", ""),
        ("learning.unet_lr", "nan", "config.value", ""),
        ("data.flip", "maybe", "config.value", ""),
        ("data.bucket_step", "63", "config.value", ""),
        ("network.dims", "1", "config.unknown_key", "network.rank"),
        ("rank", "1", "config.unknown_key", "network.rank"),
        ("", "1", "config.unknown_key", ""),
        ("samples.prompt", "x", "config.entry", "samples.0.prompt"),
        ("samples.5.prompt", "x", "config.entry", ""),
        ("network.0.rank", "1", "config.entry", "network.rank"),
    ],
)
def test_a_wrong_assignment_says_what_to_write(key, text, code, remedy):
    with pytest.raises(UserError) as caught:
        set_value(Config(), key, text)
    assert caught.value.code == code
    assert remedy in caught.value.remedy
