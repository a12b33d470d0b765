"""`python -m pruneviz.lab`."""

from __future__ import annotations

import sys

from pruneviz.lab import main

if __name__ == "__main__":
    sys.exit(main())
