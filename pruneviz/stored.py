"""Values that are kept as JSON text: each says its format, and nothing else is taken for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

from pruneviz.errors import InvalidValueError, PruneVizError

T = TypeVar("T")


def read(
    text: str | bytes,
    what: str,
    format: str,
    build: Callable[[dict[str, Any]], T],
    error: type[PruneVizError] = InvalidValueError,
) -> T:
    """What `build` makes of the values beside "format".

    Args:
        text: What was written, `{"format": format, ...}`.
        what: What it should be, with its article: "A plan".
        format: The format and its version.
        build: Takes the other values; a KeyError, TypeError or AttributeError of its means that
            they are not what they should be.
        error: What is raised where the text is something else.
    """
    try:
        found = json.loads(text)
    except (ValueError, TypeError, RecursionError) as cause:
        raise error(
            f"{what} is JSON text from to_json(), but this is not JSON ({cause})."
        ) from None
    if not isinstance(found, dict) or found.get("format") != format:
        got = found.get("format") if isinstance(found, dict) else type(found).__name__
        raise error(f'{what} says "format": "{format}", but got {got!r}.')
    try:
        return build({key: value for key, value in found.items() if key != "format"})
    except (KeyError, TypeError, AttributeError) as cause:
        raise error(
            f"{what} of format '{format}' has other values than this text ({cause}); it is "
            "damaged, or was written by another version."
        ) from None
