"""Column types that hold the same values in every database: text, and JSON as text."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Dialect, String
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.types import TypeDecorator, UserDefinedType


class Words(TypeDecorator[str]):
    """Text; what a database cannot hold (NUL, half a character) is replaced, so no write fails."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Write text: a run's message may quote anything that a library said."""
        if value is None:
            return None
        return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


@dataclass(frozen=True)
class Unreadable:
    """Stands for a column whose text is not JSON."""

    reason: str


class Json(UserDefinedType[Any]):
    """A JSON column; text that is not JSON is read as `Unreadable`, so no query fails."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        """Return the column's type, as SQLAlchemy's own JSON names it."""
        return "JSON"

    def bind_processor(self, dialect: Any) -> Callable[[Any], str]:
        """Write JSON."""
        return lambda value: json.dumps(value)

    def result_processor(self, dialect: Any, coltype: Any) -> Callable[[Any], Any]:
        """Read JSON; SQLite returns a bare number as a number."""

        def read(text: Any) -> Any:
            if not isinstance(text, str | bytes):
                return text
            try:
                return json.loads(text)
            except (ValueError, RecursionError) as error:
                return Unreadable(str(error))

        return read


@compiles(Json, "postgresql")
def _as_text(*_: Any, **__: Any) -> str:
    """PostgreSQL's own JSON would refuse NaN and the character NUL, and come back decoded."""
    return "TEXT"
