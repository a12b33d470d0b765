"""Wrong values are told before anything slow is loaded: torch alone takes seconds."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pruneviz.catalog.datasets import CATALOGUE
from pruneviz.catalog.folders import load_folder
from pruneviz.data_options import BUNDLED, NAMES, OPTIONS

ROOT = Path(__file__).resolve().parents[2]

WRONG = {
    "lab run oracle --limit 5": "Unknown option of the data set 'digits': 'limit'",
    "lab run oracle --root x": "Unknown option of the data set 'digits': 'root'",
    "lab run oracle --size 4": "The size in pixels must be a whole number from 8",
    "lab run oracle --data digit": "Unknown data set 'digit'",
    "lab run oracle --data folder": "needs root=",
    "lab run oracle --data cifar10 --limit 0": "The limit must be at least 1",
    "lab run oracle --seeds -1": "Seeds are one or more whole numbers from 0",
    "lab run oracle --scale days": "Unknown scale 'days'",
    "lab run magic": "Unknown claim 'magic'",
    "lab run oracle --threads 0": "Threads must be a whole number of at least 1",
    "lab run oracle --max-parallel 0": "--max-parallel is a whole number of at least 1",
    "lab run oracle --max-parallel 1 --limit 5": "Unknown option of the data set",
    "run magic": "Unknown strategy 'magic'",
    "run taylor --data digit": "Unknown data set 'digit'",
    "run taylor --root x": "Unknown option of the data set 'digits': 'root'",
    "run taylor --threads 0": "Threads must be",
    "run taylor --target-macs 7": "--target-macs is the fraction",
    "run taylor --seed -1": "--seed must be a whole number from 0",
    "run taylor --workers 0": "The number of workers",
    "race taylor --seeds -1": "Seeds are one or more whole numbers from 0",
    "race taylor --root x": "Unknown option of the data set 'digits': 'root'",
    "race taylor --epochs 0": "Epochs must be a whole number",
    "race magic": "Unknown strategy 'magic'",
    "study --seeds -1": "Seeds are one or more whole numbers from 0",
    "study --size 4": "The size in pixels",
    "study --data digits nowhere": "Unknown data set 'nowhere'",
    "study --threads 0": "Threads must be",
    "trust --plans 0": "--plans must be a whole number from 1",
    "trust --epochs -1": "--epochs must be a whole number from 0",
    "trust --budgets 0.5 2": "--budgets are fractions",
    "trust --train-images 0": "--train-images must be a whole number from 1",
    "trust --seed -1": "--seed must be a whole number from 0",
    "trust --data digit": "Unknown data set 'digit'",
    "export 1a2b --formats onnx,gif": "Unknown format 'gif'",
}

CODE = """
import contextlib, io, json, sys
from pruneviz.commands.main import main
told = {}
for command in json.load(sys.stdin):
    with contextlib.redirect_stderr(io.StringIO()) as err:
        status = main(command.split())
    told[command] = (status, err.getvalue(), "torch" in sys.modules)
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, str, bool]]:
    """What the commands say, one after the other in one process; a torch that is loaded stays."""
    folder = tmp_path_factory.mktemp("here")
    ran = subprocess.run(
        [sys.executable, "-c", CODE], input=json.dumps(list(WRONG)), capture_output=True,
        text=True, cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(folder)},
        check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert list(folder.iterdir()) == [], "nothing is left behind"
    commands: dict[str, tuple[int, str, bool]] = json.loads(ran.stdout)
    return commands


@pytest.mark.parametrize("command", list(WRONG))
def test_a_wrong_value_is_told_without_loading_torch(
    command: str, told: dict[str, tuple[int, str, bool]]
) -> None:
    status, said, loaded = told[command]
    assert status == 2
    assert WRONG[command] in said
    assert said.count("\n") == 1, said
    assert not loaded


def test_the_options_are_those_of_the_catalogue() -> None:
    assert tuple(CATALOGUE) == NAMES
    assert tuple(n for n, entry in CATALOGUE.items() if entry.made is not None) == BUNDLED
    assert set(OPTIONS) == set(inspect.signature(load_folder).parameters) - {"name"}
