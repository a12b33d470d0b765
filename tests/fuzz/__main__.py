"""`python -m tests.fuzz --seconds 600 --seed 1`: figures on what malformed input does."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

import torch

from tests.fuzz.sources import SOURCES
from tests.fuzz.trials import fuzz


def main() -> int:
    """Run the command; 1 where something was neither taken nor refused with a sentence."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=sorted(SOURCES), nargs="+", default=sorted(SOURCES))
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["PRUNEVIZ_CACHE"] = str(Path(folder) / "cache")
        chosen = {name: SOURCES[name] for name in options.only}
        tally = fuzz(chosen, Path(folder), seed=options.seed, seconds=options.seconds)
    for other in tally.others:
        print(other, end="\n\n")
    print(tally.report())
    return 1 if tally.others else 0


if __name__ == "__main__":
    sys.exit(main())
