"""Everything that is tried, by name."""

from __future__ import annotations

from collections.abc import Mapping

from tests.fuzz import api, pictures, texts, weights
from tests.fuzz.trials import Source

SOURCES: Mapping[str, Source] = {
    "api": api.trials,
    "json": texts.trials,
    "weights": weights.trials,
    "folders": pictures.folders,
    "zips": pictures.zips,
}
