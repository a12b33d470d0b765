"""Results read back from JSON, as `dataclasses.asdict` wrote them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pruneviz import stored
from pruneviz.errors import InvalidValueError
from pruneviz.latency.result import Latency, WidthLatency

T = TypeVar("T")


def latency_from(values: Mapping[str, Any]) -> Latency:
    """Return times of networks. Raises `InvalidValueError` for values that are none."""
    return _checked(_read(Latency, values))


def widths_from(values: Mapping[str, Any]) -> WidthLatency:
    """Return times against the width of a group. Raises `InvalidValueError` likewise."""
    widths = _read(WidthLatency, values)
    _checked(widths.latency)
    return widths


def _read(kind: type[T], values: Mapping[str, Any]) -> T:
    try:
        return stored.make(kind, values)
    except TypeError as error:
        raise InvalidValueError(
            f"These times are damaged, or of another version ({error}); measure again."
        ) from None


def _checked(latency: Latency) -> Latency:
    if not latency.timings or not all(t.seconds and min(t.seconds) > 0 for t in latency.timings):
        raise InvalidValueError(
            "Each network has at least one time, above zero, but these have not; measure again."
        )
    return latency
