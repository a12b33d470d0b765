"""`python -m tests.chaos --seconds 900`: figures on what kills, a full disk and a crowd do."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from functools import partial
from pathlib import Path

from tests.chaos.suite import short, whole
from tests.chaos.work import KINDS


def main() -> int:
    """Run the command; 1 where something was lost or went wrong without a sentence."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--rounds", type=int, help="kills, instead of as many as the time allows")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", choices=KINDS, nargs="+", default=list(KINDS))
    parser.add_argument("--short", action="store_true", help="the form that the tests run")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["PRUNEVIZ_CACHE"] = str(folder / "cache")
        if given.short:
            tally = short(folder, given.seed)
        else:
            tally = whole(
                folder,
                seconds=given.seconds,
                rounds=given.rounds,
                seed=given.seed,
                kinds=given.kinds,
                say=partial(print, flush=True),
            )
    print(tally.report())
    return 0 if tally.sound else 1


if __name__ == "__main__":
    sys.exit(main())
