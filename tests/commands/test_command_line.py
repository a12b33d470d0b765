"""The command line as a whole: examples that parse, help for each flag, pipes, one name a thing."""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from pruneviz.commands import main as cli

ROOT = Path(__file__).resolve().parents[2]
START = "import sys; from pruneviz.commands.main import main; sys.exit(main())"


def verbs() -> dict[str, argparse.ArgumentParser]:
    for action in cli.build_parser()._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    raise AssertionError("no verbs")


@pytest.mark.parametrize("name", sorted(verbs()))
def test_every_verb_has_an_example_that_parses(name: str) -> None:
    epilog = verbs()[name].epilog
    assert epilog is not None
    example = shlex.split(epilog.splitlines()[-1].partition(" > ")[0])
    assert example[:2] == ["pruneviz", name]
    assert callable(cli.build_parser().parse_args(example[1:]).run)


@pytest.mark.parametrize("name", ["", *sorted(verbs())])
def test_every_flag_is_explained(name: str) -> None:
    parser = verbs()[name] if name else cli.build_parser()
    for action in parser._actions:
        if action.option_strings:
            assert action.help, action.option_strings


@pytest.mark.parametrize(
    "verb", [["run", "taylor"], ["race"], ["study"], ["lab", "run", "oracle"]], ids=" ".join
)
def test_the_same_flag_for_the_same_thing(verb: list[str]) -> None:
    asked = ["--model", "vgg16", "--weights", "cifar10", "--data", "digits", "--threads", "2"]
    args = cli.build_parser().parse_args([*verb, *asked, "--json"])
    assert args.weights == "cifar10"
    assert args.threads == 2
    assert args.json is True
    named = next(vars(args)[key] for key in ("model", "models", "network") if key in args)
    assert named in ("vgg16", ["vgg16"])
    assert args.data in ("digits", ["digits"])


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["lab", "list"], ["lab", "table", "--json"], ["version"]],
    ids=" ".join,
)
def test_a_reader_that_goes_away_meets_no_traceback(arguments: list[str]) -> None:
    command = subprocess.Popen(
        [sys.executable, "-c", START, *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert command.stdout is not None
    command.stdout.close()  # as `| head` does once it has its lines
    assert command.stderr is not None
    assert command.stderr.read() == ""
    assert command.wait(60) in (0, 141), "as a program that the pipe ended, or as if it had not"


def test_json_for_scripts(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["version", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["pruneviz"]
    assert cli.main(["lab", "list", "--json"]) == 0
    assert {found["claim"] for found in json.loads(capsys.readouterr().out)} >= {"oracle", "soft"}


SIZES = [("500M", 500 * 2**20), ("2G", 2**31), ("1.5GiB", 3 * 2**29), ("7", 7)]


@pytest.mark.parametrize(("text", "bytes_"), SIZES)
def test_sizes(text: str, bytes_: int) -> None:
    assert cli.build_parser().parse_args(["--quota", text]).quota == bytes_


@pytest.mark.parametrize("asked", [["--quota", "much"], ["--max-runs", "0"], ["--max-runs", "few"]])
def test_limits_that_are_none(asked: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.build_parser().parse_args(asked)
    assert "must be a" in capsys.readouterr().err
