"""The part of the suite that fills its disk: `python -m tests.chaos.small HOME IMAGES EPOCHS`."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

from tests.chaos.storage import full

if __name__ == "__main__":
    print(json.dumps(asdict(full(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])))))
