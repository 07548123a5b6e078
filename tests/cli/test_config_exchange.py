"""``lora-tui config import`` and ``config export`` as a person and a script use them."""

import json
from pathlib import Path

import pytest

from lora_tui.cli.main import run
from lora_tui.config.load import load_config

pytestmark = pytest.mark.usefixtures("may_fetch")


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("LORA_TUI_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LORA_TUI_LANG", "en")
    monkeypatch.chdir(tmp_path)


def test_import_writes_a_configuration_and_tells_every_key(tmp_path: Path, capsys) -> None:
    Path("a.toml").write_text('network_dim = 9\nwobble = 1\nwandb_api_key = "s3cret"\n')
    assert run(["config", "import", "a.toml", "-o", "ours.toml", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["format"] == "sd-scripts"
    assert told["counts"] == {"taken": 1, "translated": 0, "without_effect": 1, "not_understood": 1}
    assert {row["key"]: row["fate"] for row in told["rows"]}["wobble"] == "not_understood"
    assert "s3cret" not in json.dumps(told)
    assert load_config(Path("ours.toml")).network.rank == 9
    assert run(["config", "import", "a.toml", "-o", "ours.toml"]) == 2  # it is there already
    assert run(["config", "import", "a.toml", "-o", "ours.toml", "--force"]) == 0
    out = capsys.readouterr().out
    assert "network_dim = 9 -> network.rank = 9" in out and "# not understood" in out


def test_a_wrong_format_ends_in_one_line(tmp_path: Path, capsys) -> None:
    Path("a.toml").write_text("network_dim = 9\n")
    assert run(["config", "import", "a.toml", "--from", "onetrainer"]) == 2
    err = capsys.readouterr().err.strip()
    assert "a.toml" in err and "Traceback" not in err
    assert not list(tmp_path.glob("*.lora-tui.toml"))


def test_export_writes_what_sd_scripts_takes(tmp_path: Path, capsys) -> None:
    assert run(["config", "new", "c.toml", "--set", "model.family=sdxl", "--set", "learning.ema_decay=0.9"]) == 0
    capsys.readouterr()
    assert run(["config", "export", "c.toml", "out", "--to", "sd-scripts", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["lost"]["learning.ema_decay"] == 0.9
    assert "sdxl_train_network.py" in told["command"]
    assert run(["config", "import", "out/config.toml", "-o", "again.toml"]) == 0
    assert load_config(Path("again.toml")) == load_config(Path("c.toml"))
