"""Values stored as JSON text: each names its format, and no other is accepted."""

from __future__ import annotations

import dataclasses
import json
import types
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from pruneviz.errors import InvalidValueError, PruneVizError, shown

T = TypeVar("T")


def read(
    text: str | bytes,
    kind: str,
    format: str,
    build: Callable[[dict[str, Any]], T],
    error: type[PruneVizError] = InvalidValueError,
) -> T:
    """Read stored text: what `build` makes of its values, "format" aside.

    Args:
        text: What was written, `{"format": format, ...}`.
        kind: What it should be, with its article: "A plan".
        format: The format and its version.
        build: Takes the other values (`make` does for a dataclass). Where it raises KeyError,
            TypeError, AttributeError or ValueError, the text counts as damaged.
        error: Raised for any other text.
    """
    try:
        document = json.loads(text)
        coded = text.encode() if isinstance(text, str) else text
        if b"\\u" in coded:
            json.dumps(document, ensure_ascii=False).encode()  # half a surrogate pair is no text
    except (ValueError, TypeError, RecursionError) as cause:
        raise error(
            f"{kind} is JSON text from to_json(), but this is not JSON ({cause})."
        ) from None
    if not isinstance(document, dict) or document.get("format") != format:
        got = document.get("format") if isinstance(document, dict) else type(document).__name__
        raise error(f'{kind} must say "format": "{format}", but got {shown(got)}.')
    try:
        return build({key: value for key, value in document.items() if key != "format"})
    except PruneVizError:
        raise
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as cause:
        raise error(
            f"{kind} of format '{format}' cannot be read from this text ({cause}); the text is "
            "damaged, or another version wrote it."
        ) from None


def make(kind: type[T], values: Mapping[str, Any]) -> T:
    """A dataclass from the values that `dataclasses.asdict` wrote.

    Every value must be of the type that its field is annotated with; lists become tuples where
    the field is one. Raises `TypeError`, which names the field, for any other.
    """
    instance: T = _fit(kind, values, kind.__name__)
    return instance


def _fit(kind: Any, value: Any, where: str) -> Any:
    """The value, checked and converted to a type that fields of stored results have."""
    origin, inner = get_origin(kind), get_args(kind)
    if kind is Any:
        return value
    if origin in (Union, types.UnionType):
        for one in inner:
            try:
                return _fit(one, value, where)
            except TypeError:
                continue
    elif origin is Literal:
        if any(value is one or (type(value) is type(one) and value == one) for one in inner):
            return value
    elif dataclasses.is_dataclass(kind) and isinstance(kind, type):
        if isinstance(value, Mapping):
            hints = _hints(kind)
            for name in value:
                if name not in hints:
                    raise TypeError(f"{where} has no {shown(name)}")
            return kind(**{n: _fit(hints[n], v, f"{where}.{n}") for n, v in value.items()})
    elif origin is tuple and isinstance(value, list | tuple):
        kinds: Sequence[Any] = inner[:1] * len(value) if inner[-1] is Ellipsis else inner
        if len(kinds) == len(value):
            return tuple(_fit(k, v, where) for k, v in zip(kinds, value, strict=True))
    elif origin is not None and issubclass(origin, Mapping):
        if isinstance(value, dict):
            return {str(key): _fit(inner[1], item, where) for key, item in value.items()}
    elif kind is float:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return value
    elif type(value) is kind or (kind is None and value is None):
        return value
    wanted = getattr(kind, "__name__", str(kind))
    raise TypeError(f"{where} must be {wanted}, but is {shown(value)}")


@cache
def _hints(kind: type[Any]) -> dict[str, Any]:
    """The types of a dataclass's fields, by name."""
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind) if field.init}
