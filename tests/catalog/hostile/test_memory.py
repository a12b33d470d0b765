"""Small files that ask for gigabytes are refused with a sentence, or read within bounds."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.catalog.hostile import makers

ROOT = Path(__file__).resolve().parents[3]

# In a process of its own: what it has held at most says what reading took. It may not have more
# than eight gigabytes of addresses, so that a mistake fails instead of filling the machine.
CHILD = """
import json, resource, sys, warnings
from pathlib import Path
warnings.simplefilter("ignore")
import torch
torch.set_num_threads(1)
import pruneviz as pv
from pruneviz.catalog.images import decode
resource.setrlimit(resource.RLIMIT_AS, (8 * 2**30, 8 * 2**30))
pv.load_model("resnet20", "digits")

def peak():
    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale

for name in sys.argv[1:]:
    path = Path(name)
    before, said = peak(), "taken"
    try:
        if path.suffix == ".png":
            decode(path.read_bytes(), 224)
        elif path.suffix == ".zip":
            said = "; ".join(pv.load_dataset("folder", root=path).notes)
        else:
            pv.load_model("resnet20", path)
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
    print(json.dumps([path.name, said, peak() - before]), flush=True)
"""

# What is said, and mebibytes that may be taken.
EXPECTED = {
    "bytes_of_nothing.pt": ("is not a weights file", 20),
    "bytes_of_nothing_in_a_zip.pt": ("more than tensors (builtins.bytearray)", 20),
    "ordered_copies.pt": ("copied over and over", 50),
    "counted_copies.pt": ("copied over and over", 50),
    "repeated.pt": ("repeated from fewer numbers", 50),
    "narrow.pt": ("linear.weight is 10×64 in 'resnet20' and 10000000×1 in the file", 150),
    "many_tensors.safetensors": ("lists its tensors in 67,666,677 bytes", 50),
    "long.png": ("taken", 100),
    "deep.png": ("DataError: An image may have 67,108,864 pixels", 50),
    "lie.zip": ("4 of 48 images cannot be read", 150),
    "clear.png": ("taken", 1200),
}


@pytest.fixture(scope="module")
def taken(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, float]]:
    folder = tmp_path_factory.mktemp("hostile")
    for name, make in makers.WEIGHTS.items():
        make(folder / (f"{name}.safetensors" if name == "many_tensors" else f"{name}.pt"))
    (folder / "long.png").write_bytes(makers.png(30_000, 1))
    (folder / "deep.png").write_bytes(makers.png(13_000, 13_000, depth=16))
    (folder / "clear.png").write_bytes(makers.png(8_192, 8_192, colours=6))
    makers.lying_zip(folder / "lie.zip")
    paths = [str(folder / name) for name in EXPECTED]
    ran = subprocess.run(
        [sys.executable, "-c", CHILD, *paths], cwd=ROOT, capture_output=True, text=True, check=False
    )
    lines = [json.loads(line) for line in ran.stdout.splitlines()]
    assert len(lines) == len(EXPECTED), ran.stderr[-2000:]
    return {name: (said, grown / 2**20) for name, said, grown in lines}


@pytest.mark.sweep
@pytest.mark.parametrize("name", EXPECTED)
def test_memory_stays_within_bounds(taken: dict[str, tuple[str, float]], name: str) -> None:
    says, most = EXPECTED[name]
    said, grown = taken[name]
    assert says in said
    assert grown < most
