"""Results read back from JSON, as `dataclasses.asdict` wrote them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pruneviz.latency.result import Latency, Timing, WidthLatency


def latency_from(stored: Mapping[str, Any]) -> Latency:
    """Return times of networks."""
    timings = tuple(Timing(**{**t, "seconds": tuple(t["seconds"])}) for t in stored["timings"])
    return Latency(
        timings,
        tuple(stored["input_shape"]),
        stored["batch_size"],
        stored["threads"],
        stored["device"],
    )


def widths_from(stored: Mapping[str, Any]) -> WidthLatency:
    """Return times against the width of a group."""
    return WidthLatency(stored["group"], tuple(stored["widths"]), latency_from(stored["latency"]))
