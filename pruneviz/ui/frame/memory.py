"""Keeps Python's garbage collector from going through the libraries after every move of a slider.

Streamlit collects garbage after each run of a script. With PyTorch, pandas and Plotly imported
that is half a million objects, none of which ever goes: a third of a second each time on a slow
machine, in which nothing else answers. So what has come to stay is set aside (`gc.freeze`).
"""

from __future__ import annotations

import gc
import sys

MANY = 150_000
"""Blocks of memory that are worth being set aside: those of a library, not those of a page."""

_settled = 0


def settle() -> None:
    """Set aside what lives, if much has come since the last time; garbage is collected first.

    Memory is counted, never listed: a list of all objects holds those that another thread is just
    building, and what it builds then fails (a tuple may not be seen before it is whole).
    """
    global _settled
    if sys.getallocatedblocks() - _settled < MANY:
        return
    gc.collect()
    gc.freeze()
    _settled = sys.getallocatedblocks()
