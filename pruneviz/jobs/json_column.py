"""A column of JSON text; text that cannot be read fails no query."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy.types import UserDefinedType


@dataclass(frozen=True)
class Unreadable:
    """What stands where a column's text is no JSON."""

    reason: str


class Json(UserDefinedType[Any]):
    """A JSON column; text that is none is read as `Unreadable` and fails no query."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        """Return the column's type, as SQLAlchemy's own JSON names it."""
        return "JSON"

    def bind_processor(self, dialect: Any) -> Callable[[Any], str]:
        """Write JSON."""
        return lambda value: json.dumps(value)

    def result_processor(self, dialect: Any, coltype: Any) -> Callable[[Any], Any]:
        """Read JSON; a bare number is one already (SQLite stores it so)."""

        def read(text: Any) -> Any:
            if not isinstance(text, str | bytes):
                return text
            try:
                return json.loads(text)
            except (ValueError, RecursionError) as error:
                return Unreadable(str(error))

        return read
