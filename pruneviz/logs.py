"""What the served studio and its workers log: one line for each event, for people or for programs.

Nothing is logged until `set_up` is called in a process. Lines go to stderr, as JSON where programs
read them. There are ids, durations and sentences in them, but no secret: passwords in addresses and
the secrets of this process are replaced in every line, other libraries' included.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import sys
import threading
import time
from types import TracebackType
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from pruneviz.errors import InvalidValueError

VARIABLE = "PRUNEVIZ_LOG_FORMAT"
FORMATS = ("text", "json")
NAME = "pruneviz"
HIDDEN = "***"
SECRETS = (
    "PRUNEVIZ_TOKEN",
    "PRUNEVIZ_PASSWORD",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "HF_TOKEN",
)
"""Variables whose values are shown nowhere."""
IN_ADDRESSES = re.compile(r"(?<=://)([^\s:/@]*):[^\s@/]+(?=@)|(?<=[?&]token=)[^\s&\"']+")
QUIET = "ignore:resource_tracker:UserWarning"
SHORTEST = 4
"""Characters of a secret; a shorter one would be found in half of all words."""

_secrets: set[str] = set()
logging.getLogger(NAME).addHandler(logging.NullHandler())  # a library says nothing by itself


def event(
    name: str,
    *,
    run: str | None = None,
    owner: str | None = None,
    seconds: float | None = None,
    level: int = logging.INFO,
    **about: Any,
) -> None:
    """Log what has happened: to which run, of whom (as a hash), and how long it took."""
    fields = {
        "run": run,
        "owner": None if not owner else hashlib.sha256(owner.encode()).hexdigest()[:8],
        "seconds": None if seconds is None else round(seconds, 3),
        **about,
    }
    known = {key: value for key, value in fields.items() if value is not None}
    logging.getLogger(NAME).log(level, name, extra={"fields": known})


def keep_secret(*values: str | None) -> None:
    """Have these shown in no line of this process."""
    for value in values:
        if value and len(value) >= SHORTEST:
            _secrets.update((value, quote(value, safe=""), unquote(value)))


def hide(text: str) -> str:
    """Return a text without passwords in addresses, tokens, and what `keep_secret` was told."""
    for secret in sorted(_secrets, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return IN_ADDRESSES.sub(lambda hit: f"{hit[1]}:{HIDDEN}" if hit[1] else HIDDEN, text)


class Stderr(logging.Handler):
    """Writes to whatever stderr is at the moment."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line (the handler's own method)."""
        try:
            print(self.format(record), file=sys.stderr, flush=True)
        except Exception:
            self.handleError(record)


class Text(logging.Formatter):
    """A line for people: `06:41:07 run ended  run=1a2b seconds=12.3 status=done`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line (the formatter's own method)."""
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        level = "" if record.levelno <= logging.INFO else f"{record.levelname}: "
        fields = getattr(record, "fields", {})
        values = " ".join(f"{name}={value}" for name, value in fields.items())
        line = f"{clock} {level}{record.getMessage()}{f'  {values}' if values else ''}"
        if record.exc_info:
            line += f"\n{self.formatException(record.exc_info)}"
        return hide(line)


class Json(logging.Formatter):
    """A line for programs: one JSON object, the time in UTC."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line (the formatter's own method)."""
        whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        fields = getattr(record, "fields", {})
        line: dict[str, Any] = {
            "time": f"{whole}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **fields,
            "process": record.process,
        }
        if record.name != NAME:
            line["logger"] = record.name
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        plain = (bool, int, float)
        shown = {k: v if isinstance(v, plain) else hide(str(v)) for k, v in line.items()}
        return json.dumps(shown, ensure_ascii=False)


class JsonLogger(logging.Logger):
    """A logger whose lines are JSON, whatever format its library gives to its handlers."""

    def addHandler(self, hdlr: logging.Handler) -> None:  # noqa: N802 (logging's own name)
        """Add a handler (the logger's own method)."""
        if isinstance(hdlr, logging.StreamHandler):
            hdlr.setFormatter(Json())
        super().addHandler(hdlr)


def resolve_format(option: str | None = None) -> str | None:
    """Return the format of log lines: `option`, else `$PRUNEVIZ_LOG_FORMAT`; None: none is asked.

    Raises:
        InvalidValueError: there is no such format.
    """
    asked = option or os.environ.get(VARIABLE) or None
    if asked is not None and asked not in FORMATS:
        raise InvalidValueError(
            f"The format of the log is {' or '.join(FORMATS)}, but got '{asked}'."
        )
    return asked


def is_json() -> bool:
    """Whether the lines of this process are for programs."""
    return resolve_format() == "json"


def set_up() -> None:
    """Log as `$PRUNEVIZ_LOG_FORMAT` says, in this process; without it, nothing changes."""
    chosen = resolve_format()
    if chosen is None:
        return
    keep_secret(*map(os.environ.get, SECRETS), _password(os.environ.get("PRUNEVIZ_DATABASE")))
    handler = Stderr()
    handler.setFormatter(Json() if chosen == "json" else Text())
    own = logging.getLogger(NAME)
    own.setLevel(logging.INFO)
    own.handlers, own.propagate = [handler], False
    sys.excepthook = _fail
    threading.excepthook = lambda failed: _fail(
        failed.exc_type, failed.exc_value, failed.exc_traceback
    )
    if chosen == "json":
        _take_over(handler)


def _take_over(handler: logging.Handler) -> None:
    """Have other libraries' lines and warnings be JSON, too."""
    logging.setLoggerClass(JsonLogger)
    for logger in (logging.root, *logging.root.manager.loggerDict.values()):
        for other in getattr(logger, "handlers", ()):
            if isinstance(other, logging.StreamHandler):
                other.setFormatter(Json())
    if not logging.root.handlers:
        logging.root.addHandler(handler)
    logging.captureWarnings(True)
    # A server ends by the signal that it was sent. Python's helper process then finds semaphores
    # that nobody has put away; it puts them away, and says so in a line of its own.
    given = os.environ.get("PYTHONWARNINGS")
    os.environ["PYTHONWARNINGS"] = ",".join(filter(None, (given, QUIET)))


def _fail(
    kind: type[BaseException], error: BaseException | None, trace: TracebackType | None
) -> None:
    if error is None or issubclass(kind, KeyboardInterrupt | SystemExit):
        return
    logging.getLogger(NAME).critical("process failed", exc_info=(kind, error, trace))


def _password(address: str | None) -> str | None:
    try:
        return urlsplit(address or "").password
    except ValueError:
        return None
