"""Run a model again, computing only what a change touches."""

from __future__ import annotations

from pruneviz.replay.program import NotReplayableError
from pruneviz.replay.tape import Tape

__all__ = ["NotReplayableError", "Tape"]
