"""Run a model again, computing only what a change touches."""

from __future__ import annotations

from pruneviz.replay.oracle import Oracle, oracle
from pruneviz.replay.program import NotReplayableError
from pruneviz.replay.scan import scan
from pruneviz.replay.scores import Replay, Score, score
from pruneviz.replay.tape import Tape

__all__ = [
    "NotReplayableError",
    "Oracle",
    "Replay",
    "Score",
    "Tape",
    "oracle",
    "scan",
    "score",
]
