from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from webhook_server import serving

from lora_tui.alarms.alarm import WARNING, Alarm
from lora_tui.alarms.courier import notice_of
from lora_tui.alarms.send import post, send
from lora_tui.alarms.webhooks import FILE_VARIABLE, VARIABLE, any_webhook, known_webhooks, parse_webhook
from lora_tui.cli.main import run as run_command
from lora_tui.errors import UserError

ALARM = Alarm("overfitting", WARNING, "It <rose> & @everyone 升", "Use *this_file*.", 600, 400, 1e9)
NOTICE = notice_of(ALARM, run="20260101-000000-hat_girl", number=3, folder="/runs/3")


@pytest.mark.parametrize(
    ("address", "form"),
    [
        ("https://ntfy.sh/topic", "ntfy"),
        ("ntfy+http://10.0.0.2:8080/topic", "ntfy"),
        ("https://discord.com/api/webhooks/1/abc", "discord"),
        ("https://hooks.slack.com/services/T/B/x", "slack"),
        ("https://example.org/hook?key=1", "json"),
        (" json+https://ntfy.sh/topic ", "json"),
    ],
)
def test_the_form_follows_from_the_host_or_is_said(address: str, form: str) -> None:
    assert parse_webhook(address).form == form


@pytest.mark.parametrize(
    "address",
    ["ftp://x/secret", "secret", "https:///secret", "https://ntfy.sh/", "http://a:x/secret", "https://h/sec ret", ""],
)
def test_what_is_no_address_is_refused_without_repeating_it(address: str) -> None:
    with pytest.raises(UserError) as refused:
        parse_webhook(address)
    assert "sec" not in str(refused.value) and refused.value.code == "webhook.address"


def test_ntfy_gets_its_topic_title_and_priority_in_any_language() -> None:
    with serving() as hook:
        assert post(parse_webhook(f"ntfy+http://:tk_abc@{hook.host}/base/my-topic"), NOTICE) == ""
    path, headers, body = hook.got[0]
    assert path == "/base/" and headers["authorization"] == "Bearer tk_abc"
    assert body["topic"] == "my-topic" and body["priority"] == 4
    assert "overfitting" in body["title"] and "升" in body["message"]


def test_discord_shows_names_as_they_are_and_calls_nobody() -> None:
    with serving() as hook:
        post(parse_webhook(f"discord+http://{hook.host}/api"), NOTICE)
    body = hook.got[0][2]
    assert body["allowed_mentions"] == {"parse": []}
    assert r"hat\_girl" in body["content"] and r"\*this\_file\*" in body["content"]


def test_slack_obeys_nothing_in_the_text() -> None:
    with serving() as hook:
        post(parse_webhook(f"slack+http://me:pass@{hook.host}/x"), NOTICE)
    _path, headers, body = hook.got[0]
    assert "&lt;rose&gt; &amp;" in body["text"] and headers["authorization"].startswith("Basic ")


def test_a_server_in_trouble_is_tried_again_and_a_refusal_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lora_tui.alarms.send.PAUSES", (0.0, 0.0))
    with serving(503, 429, 200) as hook:
        assert post(parse_webhook(f"http://{hook.host}/"), NOTICE) == ""
        assert len(hook.got) == 3
    with serving(403) as hook:
        assert "403" in post(parse_webhook(f"http://{hook.host}/"), NOTICE)
        assert len(hook.got) == 1


def test_an_address_is_not_followed_elsewhere() -> None:
    with serving(302) as hook:
        assert "302" in post(parse_webhook(f"http://{hook.host}/"), NOTICE)
        assert [path for path, _headers, _body in hook.got] == ["/"]


def test_one_that_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lora_tui.alarms.send.PAUSES", (0.0, 0.0))
    monkeypatch.setattr("lora_tui.alarms.send.TIMEOUT", 0.1)
    with serving(0) as hook, serving() as other:
        monkeypatch.setenv(VARIABLE, f"http://{hook.host}/secret http://{other.host}/")
        (failure,) = send(NOTICE)
        assert "127.0.0.1" in failure["webhook"] and "secret" not in str(failure)
        assert failure["reason"] == "no answer within 0.1 s"
        assert other.codes == ["overfitting"]


def test_a_file_that_others_can_read_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "hooks"
    monkeypatch.setenv(FILE_VARIABLE, str(file))
    assert not any_webhook() and known_webhooks() == ((), ())
    file.write_text("# mine\nhttps://ntfy.sh/a\n\nnonsense\nhttps://ntfy.sh/a\n")
    file.chmod(0o644)
    found, (wrong,) = known_webhooks()
    assert found == () and wrong.code == "webhook.mode" and "chmod 600" in wrong.remedy
    file.chmod(0o600)
    found, (wrong,) = known_webhooks()
    assert [hook.shown for hook in found] == ["ntfy ntfy.sh"] and wrong.place.endswith(":4")


def test_notify_keeps_an_address_that_nobody_else_can_read_and_tries_it(capsys: pytest.CaptureFixture[str]) -> None:
    def said(*words: str) -> tuple[int, Any]:
        status = run_command(["notify", *words])
        captured = capsys.readouterr()
        return status, captured.out + captured.err

    with serving() as hook:
        status, text = said("add", f"http://{hook.host}/secret")
        assert status == 0 and "secret" not in text
        status, text = said("list")
        assert status == 0 and "1  json 127.0.0.1" in text and "secret" not in text
        status, text = said("test")
        assert status == 0 and hook.codes == ["test"] and "1 of 1" in text
    from lora_tui.alarms.webhooks import webhooks_file

    assert webhooks_file().stat().st_mode & 0o777 == 0o600
    assert said("remove", "1")[0] == 0 and known_webhooks() == ((), ())
    assert "lora-tui notify add" in said("test")[1]
    assert said("remove", "1")[0] == 2 and said("add", "nonsense")[0] == 2
