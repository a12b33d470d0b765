"""Log lines: what is in them, and that no secret is."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from pruneviz import logs
from pruneviz.errors import InvalidValueError

SECRET = "s3cret+word/9"
ADDRESS = "postgresql+psycopg://ann:s3cret%2Bword%2F9@db.example.org:5432/pruneviz"
Logged = Callable[..., list[str]]


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> Logged:
    """Run code in a process that has set its log up, and return the lines on stdout and stderr."""

    def run(code: str, format: str = "json", **environment: str) -> list[str]:
        environment = {**os.environ, logs.VARIABLE: format, **environment}
        whole = f"from pruneviz import logs; logs.set_up()\n{code}"
        done = subprocess.run(
            [sys.executable, "-c", whole], env=environment, capture_output=True, text=True
        )
        return (done.stdout + done.stderr).splitlines()

    return run


def line(record: dict[str, object]) -> dict[str, object]:
    made = logging.makeLogRecord({"name": logs.NAME, "levelno": 20, "levelname": "INFO", **record})
    return json.loads(logs.Json().format(made))


def test_an_event_is_one_json_object(logged: Logged) -> None:
    (text,) = logged(
        "logs.event('run ended', run='1a2b', owner='ann', seconds=1.23456, status='done')"
    )
    found, owner = json.loads(text), hashlib.sha256(b"ann").hexdigest()[:8]
    assert found.pop("time").endswith("Z")
    assert found.pop("process") > 0
    assert found == {
        "level": "info", "event": "run ended", "run": "1a2b", "owner": owner,
        "seconds": 1.235, "status": "done",
    }  # fmt: skip


def test_people_read_a_sentence(logged: Logged) -> None:
    (text,) = logged("logs.event('run ended', run='1a2b', seconds=2, level=30)", "text")
    assert text[8:] == " WARNING: run ended  run=1a2b seconds=2"


def test_a_library_says_nothing_by_itself() -> None:
    code = "from pruneviz import logs; logs.event('run ended', level=40); logs.set_up()"
    environment = {k: v for k, v in os.environ.items() if k != logs.VARIABLE}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True)
    assert done.stdout + done.stderr == b""


def test_every_line_of_a_process_is_json(logged: Logged) -> None:
    lines = logged(
        "import logging, threading, warnings\n"
        "before = logging.getLogger('before')\n"
        "other = logging.getLogger('streamlit.later')\n"
        "other.addHandler(logging.StreamHandler())\n"
        "other.propagate = False\n"
        "other.warning('two\\nlines of %s', 'a library')\n"
        "before.error('by the root')\n"
        "warnings.warn('beware')\n"
        "thread = threading.Thread(target=lambda: 1 / 0)\n"
        "thread.start()\n"
        "thread.join()\n"
        "raise ValueError('the end')\n"
    )
    found = [json.loads(text) for text in lines]
    told = ["two\nlines of a library", "by the root", "process failed", "process failed"]
    assert [one["event"] for one in found if "beware" not in one["event"]] == told
    assert len(found) == 5
    assert "ZeroDivisionError" in found[3]["trace"]
    assert "ValueError: the end" in found[4]["trace"]


def test_no_secret_of_this_process_is_in_a_line(logged: Logged) -> None:
    for format in logs.FORMATS:
        lines = logged(
            "import os, logging\n"
            "address, token = os.environ['PRUNEVIZ_DATABASE'], os.environ['PRUNEVIZ_TOKEN']\n"
            "logs.event('runs wait', why=f'cannot connect to {address}', level=30)\n"
            f"logs.event('told', password={SECRET!r}, many=[address])\n"
            "logs.event('visited', address=f'http://host/?token={token}&page=1')\n"
            "raise RuntimeError(f'{address} and {token}')\n",
            format,
            PRUNEVIZ_DATABASE=ADDRESS,
            PRUNEVIZ_TOKEN="a-token-of-the-owner",
        )
        whole = "\n".join(lines)
        if format == "json":
            assert len(lines) == 4
        assert "ann:***@db.example.org" in whole
        assert "?token=***&page=1" in whole
        for secret in (SECRET, "s3cret", "a-token-of-the-owner"):
            assert secret not in whole


def test_passwords_in_addresses_of_others_are_hidden_too() -> None:
    told = logs.hide("redis://:hunter22@host, s3://key:other@bucket, http://x/?a=1&token=abcd")
    assert told == "redis://***@host, s3://key:***@bucket, http://x/?a=1&token=***"
    assert logs.hide("http://host:8501/path, ann@example.org, 06:41:07") == (
        "http://host:8501/path, ann@example.org, 06:41:07"
    )


def test_a_foreign_line_says_whose_it_is() -> None:
    found = line({"name": "distributed", "msg": "at %s", "args": ("tcp://a:b@c",)})
    assert found["logger"] == "distributed"
    assert found["event"] == "at tcp://a:***@c"


def test_there_are_two_formats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(logs.VARIABLE, "xml")
    with pytest.raises(InvalidValueError, match="text or json, but got 'xml'"):
        logs.resolve_format()
    assert logs.resolve_format("json") == "json"
