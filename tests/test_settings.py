"""The user's settings and the folders of this machine."""

import subprocess
import sys
import tomllib
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as with_settings
from hypothesis import strategies as st

from lora_tui import settings
from lora_tui.errors import UserError
from lora_tui.settings import Settings, load_settings, save_settings, usable_settings

TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
ANY_SETTINGS = st.builds(
    Settings,
    language=st.sampled_from(["", "en", "zh_CN"]),
    theme=TEXT,
    ascii=st.booleans(),
    slow=st.booleans(),
    images=st.sampled_from(settings.IMAGE_MODES),
    keys=st.dictionaries(TEXT, st.lists(TEXT.filter(bool), min_size=1, max_size=3).map(tuple), max_size=3),
)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("LORA_TUI_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("LORA_TUI_CONFIG", raising=False)
    return tmp_path / "home"


def put(text: str) -> Path:
    path = settings.settings_file()
    path.write_text(text, encoding="utf-8")
    return path


def test_one_variable_moves_every_folder(home):
    folders = [settings.config_dir(), settings.cache_dir(), settings.data_dir(), settings.state_dir()]
    assert all(folder.is_dir() and folder.parent == home for folder in folders)
    assert len(set(folders)) == 4


def test_without_it_the_xdg_folders_hold(tmp_path, monkeypatch):
    monkeypatch.delenv("LORA_TUI_HOME")
    for kind in ("CONFIG", "CACHE", "DATA", "STATE"):
        monkeypatch.setenv(f"XDG_{kind}_HOME", str(tmp_path / kind))
    assert settings.config_dir() == tmp_path / "CONFIG" / "lora-tui"
    assert settings.state_dir() == tmp_path / "STATE" / "lora-tui"


def test_another_settings_file_can_be_named(tmp_path, monkeypatch):
    monkeypatch.setenv("LORA_TUI_CONFIG", str(tmp_path / "mine" / "s.toml"))
    save_settings(Settings(theme="light"))
    assert load_settings().theme == "light"
    assert (tmp_path / "mine" / "s.toml").is_file()


def test_a_folder_that_cannot_be_made_is_a_users_error(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LORA_TUI_HOME", str(tmp_path / "file"))
    with pytest.raises(UserError) as caught:
        settings.cache_dir()
    assert "LORA_TUI_HOME" in caught.value.remedy


def test_without_a_file_the_defaults_hold():
    assert load_settings() == Settings()


@with_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ANY_SETTINGS, ANY_SETTINGS)
def test_what_is_saved_is_loaded_whatever_was_there(first, second):
    save_settings(first)
    save_settings(second)
    assert load_settings() == second


def test_saving_keeps_comments_order_and_other_settings():
    path = put('# mine\nslow = true  # over ssh\ntheme = "dark"\n\n[keys]\nquit = "q"  # my key\n')
    save_settings(replace(load_settings(), theme="light", ascii=True))
    text = path.read_text()
    assert "# mine" in text and "# over ssh" in text and "# my key" in text
    assert tomllib.loads(text) == {"slow": True, "theme": "light", "ascii": True, "keys": {"quit": "q"}}


def test_a_value_over_several_lines_is_replaced_whole():
    put('theme = """\nslow = 1\n[x]\n"""\n')
    save_settings(replace(load_settings(), theme="light", slow=True))
    assert load_settings() == Settings(theme="light", slow=True)


def test_saving_what_is_there_already_changes_no_byte():
    path = put('theme="dark"   # odd   blanks\n')
    before = path.read_bytes()
    save_settings(load_settings())
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("theme = ", "settings.syntax"),
        ("thme = 'dark'", "settings.unknown_key"),
        ("theme = 3", "settings.value"),
        ("slow = 1", "settings.value"),
        ("images = 'best'", "settings.value"),
        ("language = 'xx'", "settings.value"),
        ("keys = 'q'", "settings.value"),
        ("[keys]\nquit = 3", "settings.value"),
        ("[keys]\nquit = ['']", "settings.value"),
    ],
)
def test_a_bad_file_is_an_error_and_is_never_overwritten(text, code):
    path = put(text)
    for act in (load_settings, lambda: save_settings(Settings(theme="light"))):
        with pytest.raises(UserError) as caught:
            act()
        assert caught.value.code == code
        assert str(path) in caught.value.place
    assert path.read_text() == text


def test_names_of_actions_need_no_quotes():
    put('[keys]\ndataset.order = "o"\n"app.quit" = ["f10", "ctrl+q"]\n')
    assert load_settings().keys == {"dataset.order": ("o",), "app.quit": ("f10", "ctrl+q")}


def test_what_can_be_used_of_a_bad_file_is_used_and_the_rest_is_named():
    put('theme = 3\nslow = true\nthme = "dark"\n[keys]\ndataset.order = 5\napp.quit = "f10"\n')
    found, wrong = usable_settings()
    assert found == Settings(slow=True, keys={"app.quit": ("f10",)})
    assert [error.code for error in wrong] == ["settings.value", "settings.unknown_key", "settings.value"]
    put("theme = ")
    assert usable_settings()[0] == Settings()
    assert usable_settings()[1][0].code == "settings.syntax"


def test_an_unknown_setting_names_what_was_meant():
    put("thme = 'dark'")
    with pytest.raises(UserError) as caught:
        load_settings()
    assert "theme" in caught.value.remedy


def test_a_file_that_is_not_utf8_is_named():
    settings.settings_file().write_bytes(b"theme = '\xff'")
    with pytest.raises(UserError) as caught:
        load_settings()
    assert caught.value.code == "settings.encoding"


def test_recent_projects_are_newest_first_without_repeats_or_ghosts(tmp_path):
    folders = [tmp_path / name for name in ("a", "b", "c")]
    for folder in [*folders, folders[0]]:
        folder.mkdir(exist_ok=True)
        settings.remember_project(folder)
    assert settings.recent_projects() == (folders[0], folders[2], folders[1])
    folders[2].rmdir()
    assert settings.recent_projects() == (folders[0], folders[1])


def test_recent_projects_are_few_and_damage_is_forgotten(tmp_path):
    for number in range(settings.RECENT_LIMIT + 5):
        (tmp_path / str(number)).mkdir()
        settings.remember_project(tmp_path / str(number))
    assert len(settings.recent_projects()) == settings.RECENT_LIMIT
    (settings.state_dir() / "recent.json").write_text("{")
    assert settings.recent_projects() == ()


def test_every_setting_has_a_default_of_its_own_type():
    for item in fields(Settings):
        assert isinstance(getattr(Settings(), item.name), (str, bool, dict, tuple)), item.name


def test_reading_settings_needs_no_heavy_library():
    code = (
        "import sys; from lora_tui.settings import load_settings; load_settings();"
        "sys.exit(bool({'pydantic', 'textual', 'torch', 'PIL'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("theme = " + "9" * 5000, "line 1"),
        ("\ntheme = " + "[" * 5000, "line 2"),
        ("theme = 1" + "0" * 400, "theme is beyond 64 bits"),
    ],
)
def test_what_no_toml_reader_takes_is_named_with_its_place(text, reason):
    path = put(text)
    with pytest.raises(UserError, match=reason) as caught:
        load_settings()
    assert (caught.value.place, caught.value.code) == (str(path), "settings.syntax")


def test_a_settings_file_may_begin_with_a_byte_order_mark():
    put('\ufefftheme = "light"\n')
    assert load_settings().theme == "light"


@pytest.mark.parametrize("name", ["LORA_TUI_HOME", "LORA_TUI_CONFIG"])
def test_a_home_of_nobody_is_refused_and_makes_no_folder(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(name, "~no such user/x")
    with pytest.raises(UserError, match="There is no user") as caught:
        load_settings()
    assert caught.value.place == name
    assert not list(tmp_path.glob("~*"))


def test_the_older_name_of_half_cells_is_still_read():
    put('images = "half"')
    assert load_settings().images == "halfcell"
