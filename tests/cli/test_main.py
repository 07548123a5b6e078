import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lora_tui import __version__
from lora_tui.__main__ import main
from lora_tui.cli.main import COMMANDS, run
from lora_tui.settings import settings_file, state_dir
from lora_tui.text import _


def program(*args: str, **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lora_tui", *args]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]


def test_the_version_is_told() -> None:
    result = program("--version")
    assert (result.returncode, result.stdout, result.stderr) == (0, f"lora-tui {__version__}\n", "")


@pytest.mark.parametrize(("given", "wanted"), [("", "PCI_BUS_ID"), ("FASTEST_FIRST", "FASTEST_FIRST")])
def test_gpus_have_the_numbers_that_the_driver_gives_them(
    given: str, wanted: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CUDA_DEVICE_ORDER", given)
    if not given:
        monkeypatch.delenv("CUDA_DEVICE_ORDER")
    monkeypatch.setattr(sys, "argv", ["lora-tui", "--version"])
    assert main() == 0 and __version__ in capsys.readouterr().out
    assert os.environ["CUDA_DEVICE_ORDER"] == wanted


def test_help_names_every_command() -> None:
    result = program("--help")
    assert result.returncode == 0
    assert all(f"  {name} " in result.stdout for name in COMMANDS)


@pytest.mark.parametrize("args", [["--help"], ["runs", "list", "--help"], ["captions", "edit", "--help"]])
def test_help_is_in_the_language_of_the_person(
    args: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LORA_TUI_LANG", "zh_CN")
    assert run(args) == 0
    told = capsys.readouterr().out
    for word in ("usage", "arguments", "options", "show this help", "program's version"):
        assert word not in told


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_of_the_table_is_there_and_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    module = importlib.import_module(COMMANDS[name][0])
    assert callable(module.build) and callable(module.run)
    assert run([name, "--help"]) == 0
    assert f"lora-tui {name}" in capsys.readouterr().out


@pytest.mark.parametrize(
    "args",
    [["--nonsense"], ["runs"], ["runs", "explode"], ["train"], ["watch", "--once", "--follow"], ["train", "a", "b"]],
)
def test_a_wrong_command_line_is_one_line_and_status_2(args: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(args) == 2
    told = capsys.readouterr()
    assert told.out == "" and told.err.startswith("lora-tui: ") and told.err.count("\n") == 1
    assert "--help" in told.err


@pytest.mark.parametrize(
    "args",
    [
        ["runs", "list", "--js"],
        ["train", "x.toml", "--det"],
        ["--vers"],
        ["watch", "--onc"],
        ["bench", "start", "--js"],
    ],
)
def test_options_are_not_abbreviated(args: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert run(args) == 2
    assert args[-1] in capfd.readouterr().err


def test_an_error_is_json_where_json_was_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["runs", "show", "none", "--json"]) == 2
    told = capsys.readouterr()
    assert json.loads(told.out)["error"]["code"] == "run.not_found"
    assert told.err == ""


def test_a_folder_that_is_not_there_is_no_command_either(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["tarin"]) == 2
    assert "tarin" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "place", "told"),
    [
        (["trian", "x.toml", "--detach"], "trian: ", "Did you mean train?"),
        (["dataset", "chck", "x"], "dataset chck: ", "Did you mean check?"),
        (["config", "frobnicate"], "config frobnicate: ", "There are: new, check, plan"),
        (["queue"], "queue: ", "There are: add, list"),
    ],
)
def test_a_command_that_there_is_none_of_is_told_with_those_that_there_are(
    words: list[str], place: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(words) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"lora-tui: {place}") and told in said and len(said.splitlines()) == 1


def test_escape_sequences_of_a_name_are_shown_not_obeyed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["\x1b[2Jx"]) == 2
    assert "\x1b" not in capsys.readouterr().err


def test_the_language_of_the_environment_and_the_settings_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    settings_file().parent.mkdir(parents=True, exist_ok=True)
    settings_file().write_text('language = "zh_CN"\n')
    run(["--version"])
    from lora_tui.text import language

    assert language() == "zh_CN"
    monkeypatch.setenv("LORA_TUI_LANG", "en")
    run(["--version"])
    assert language() == "en"


@pytest.mark.parametrize(
    "text", ["language = [broken", "a = " + "9" * 5000, "a = " + "[" * 5000, "a.b." * 50 + "a = 1"]
)
def test_a_broken_settings_file_stops_no_command(text: str, tmp_path: Path) -> None:
    settings_file().parent.mkdir(parents=True, exist_ok=True)
    settings_file().write_text(text)
    for args in (["runs", "list", str(tmp_path)], ["--version"], ["--help"], ["runs", "--help"]):
        assert run(args) == 0


@pytest.mark.parametrize("name", ["LORA_TUI_HOME", "LORA_TUI_CONFIG"])
def test_a_home_that_cannot_be_stops_no_version(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ("~no such user/x", "x" * 5000):
        monkeypatch.setenv(name, value)
        assert run(["--version"]) == 0


def test_a_pipe_for_settings_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.setenv("LORA_TUI_CONFIG", str(tmp_path / "pipe"))
    assert run(["--version"]) == 0


@pytest.mark.parametrize("args", [[], ["dataset", "check"], ["config", "new"], ["new"], ["runs", "list"], ["demo"]])
def test_a_name_that_is_too_long_is_wrong_input(args: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*args, "x" * 5000]) == 2
    assert "internal" not in capsys.readouterr().err
    assert not list(state_dir().glob("crash-*"))


def test_a_reader_that_leaves_is_no_error() -> None:
    code = "import sys; from lora_tui.cli.main import run; sys.exit(run(['runs', 'list', '--living', '--json']))"
    reader, writer = os.pipe()
    os.close(reader)
    child = subprocess.Popen([sys.executable, "-c", code], stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    _out, err = child.communicate()
    assert (child.returncode, err) == (141, b"")


def redirected(redirection: str, *args: str, unbuffered: str = "") -> subprocess.CompletedProcess[str]:
    """The program with a redirection as a shell does it, such as ``>&-``; what it then still tells."""
    line = ["sh", "-c", f'exec "$@" {redirection}', "sh", sys.executable, "-m", "lora_tui", *args]
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    return subprocess.run(line, capture_output=True, text=True, check=False, env=environment)


FULL, CLOSED = (">/dev/full", "No space left on device"), (">&-", "Bad file descriptor")


@pytest.mark.parametrize(
    ("redirection", "reason", "args", "unbuffered"),
    [  # each two of output, command and buffering once
        (*FULL, ["--version"], ""),
        (*FULL, ["config", "presets"], "1"),
        (*FULL, ["tarin", "--json"], ""),
        (*CLOSED, ["--version"], "1"),
        (*CLOSED, ["config", "presets"], ""),
        (*CLOSED, ["tarin", "--json"], "1"),
    ],
)
def test_an_output_that_takes_nothing_is_one_honest_line_and_status_1(redirection, reason, args, unbuffered) -> None:
    told = redirected(redirection, *args, unbuffered=unbuffered)
    expected = f"lora-tui: Nothing can be written to standard output: {reason}.\n"
    assert (told.returncode, told.stdout, told.stderr) == (1, "", expected)
    assert redirected(f"{redirection} 2>&-", *args, unbuffered=unbuffered).returncode == 1
    assert not list(state_dir().glob("crash-*"))


@pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full", "<&- 2>&-"])
def test_a_command_does_its_work_when_nobody_hears_of_its_progress(tmp_path, redirection) -> None:
    told = redirected(redirection, "dataset", "check", str(tmp_path), "--json")
    assert (told.returncode, [item["code"] for item in json.loads(told.stdout)["problems"]]) == (3, ["dataset.empty"])
    assert redirected(redirection, "tarin").returncode == 2
    assert redirected(f"{redirection} >/dev/full", "runs", "list", str(tmp_path), unbuffered="1").returncode == 0


def test_the_number_of_a_closed_stream_is_given_to_no_file(tmp_path) -> None:
    code = "from lora_tui.cli.output import hold_streams; hold_streams(); raise SystemExit(open(sys.argv[1]).fileno())"
    line = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", sys.executable, "-c", f"import sys; {code}", __file__]
    assert subprocess.run(line, check=False).returncode > 2


@pytest.mark.parametrize("variables", [{"LC_ALL": "C"}, {"LC_ALL": "C.UTF-8"}, {"PYTHONIOENCODING": "gbk"}])
def test_json_is_utf8_in_every_locale_and_names_keep_their_bytes(tmp_path, variables) -> None:
    names = {"caf\udce9.png", "帽子.png"}
    for name in names:
        (tmp_path / name).write_bytes(b"no image")
    line = [sys.executable, "-m", "lora_tui", "dataset", "check", str(tmp_path), "--json"]
    told = subprocess.run(line, capture_output=True, check=False, env={**os.environ, **variables})
    problems = json.loads(told.stdout.decode("utf-8"))["problems"]
    assert {os.fsencode(Path(item["path"]).name) for item in problems if item["code"] == "image.invalid"} == {
        os.fsencode(name) for name in names
    }


def test_a_defect_of_ours_is_one_line_and_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "broken_command.py"
    broken.write_text("def build(parser): pass\ndef run(args): raise ZeroDivisionError('why')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(COMMANDS, "broken", ("broken_command", "breaks"))
    assert run(["broken"]) == 1
    (file,) = state_dir().glob("crash-*.txt")
    assert "ZeroDivisionError: why" in file.read_text()


def test_ctrl_c_is_quiet(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "slow_command.py").write_text("def build(parser): pass\ndef run(args): raise KeyboardInterrupt\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(COMMANDS, "slow", ("slow_command", "is slow"))
    assert run(["slow"]) == 130
    assert capsys.readouterr().err == ""


def test_the_helps_of_commands_are_marked_for_translation() -> None:
    assert all(_(text) for _module, text in COMMANDS.values())


def test_watching_loads_no_screen_no_schema_and_no_torch(tmp_path: Path) -> None:
    code = (
        "import sys; from lora_tui.cli.main import run\n"
        "status = run(['runs', 'list', sys.argv[1]]), run(['watch', '--line'])\n"
        "assert status == (0, 0), status\n"
        "print([name for name in sys.modules if name.partition('.')[0] in ('torch', 'pydantic', 'textual', 'PIL')])\n"
    )
    result = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"


def test_a_project_with_the_name_of_a_command_is_not_passed_over_in_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    run(["runs", "list"])
    assert "./runs" not in capsys.readouterr().err
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "lora-tui.toml").touch()
    run(["runs", "list"])
    assert "lora-tui ./runs" in capsys.readouterr().err
