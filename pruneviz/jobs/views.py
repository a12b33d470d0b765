"""What readers of the records see: frozen values that outlive the database session."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pruneviz.errors import InvalidValueError

if TYPE_CHECKING:
    import pandas as pd

Status = Literal["queued", "running", "cancelling", "cancelled", "done", "failed", "interrupted"]
ACTIVE: frozenset[str] = frozenset({"queued", "running", "cancelling"})
_KINDS: dict[str, Any] = {"model": Mapping, "data": Mapping, "options": Mapping}
_OPTIONAL = {"plan", "parent", "owner", "tag"}
WORK = ("kind", "model", "data", "plan", "options")
QUIET_SECONDS = 120.0  # a batch of a large network may take a minute
RESUMABLE: frozenset[str] = frozenset({"interrupted", "failed", "cancelled"})


@dataclass(frozen=True)
class RunSpec:
    """What a run must do, as JSON can hold it: enough to start it in another process or years
    later.

    `kind` names an entry of the registry ("fine_tune", "sensitivity", ...); `model` and `data` are
    the sources that load them again; `plan` is `Plan.to_json()`; `options` are the kind's own.
    `parent` is the id of the study that the run belongs to, `owner` who started it (None: nobody
    in particular), `tag` a word or two by which the run is found again, the study's title at first.
    """

    kind: str
    model: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    plan: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""
    parent: str | None = None
    owner: str | None = None
    tag: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the plain dict that is stored.

        Raises:
            InvalidValueError: a value that JSON cannot hold.
        """
        spec = {item.name: getattr(self, item.name) for item in dataclasses.fields(self)}
        try:
            plain_spec: dict[str, Any] = json.loads(json.dumps(plain(spec)))
        except (TypeError, ValueError) as error:
            raise InvalidValueError(
                f"A run's specification must be serialisable as JSON; {error}. Pass names, "
                "numbers and lists."
            ) from error
        return plain_spec

    @property
    def work(self) -> str:
        """What decides what is done, as text; the rest says for whom and under which name."""
        return work_of(self.to_dict())

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RunSpec:
        """Build a spec from a mapping with the same keys; only `kind` is required."""
        known = {item.name for item in dataclasses.fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown or "kind" not in values:
            wrong = f"got {', '.join(unknown)}" if unknown else "'kind' is missing"
            raise InvalidValueError(
                f"A run's specification has the keys {', '.join(sorted(known))}; {wrong}."
            )
        for name, value in values.items():
            kind = _KINDS.get(name, str)
            if not isinstance(value, kind) and not (value is None and name in _OPTIONAL):
                wanted = "a mapping" if kind is Mapping else "text"
                raise InvalidValueError(
                    f"'{name}' of a run's specification must be {wanted}, but got {value!r:.80}."
                )
        return cls(**values)


def work_of(values: Mapping[str, Any]) -> str:
    """Return `RunSpec.work` of a specification as it is stored."""
    return json.dumps({name: values.get(name) for name in WORK}, sort_keys=True)


@dataclass(frozen=True)
class RunView:
    """A run as it stood when it was read. Times are seconds since 1970 (UTC)."""

    id: str
    name: str
    kind: str
    status: Status
    request: str | None  # "cancel" or "stop": asked for, not yet taken up
    created: float
    started: float | None
    ended: float | None
    spec: RunSpec
    progress: float  # 0..1
    message: str
    error: str | None  # one sentence
    trace: str | None  # the traceback behind it
    heartbeat: float | None
    pid: int | None
    host: str | None
    parent: str | None
    owner: str | None
    seconds: float  # of work, without interruptions, over all attempts
    attempts: int  # how often a worker took it up; metrics are read afresh when it changes
    checkpoints: int  # written so far; 0: resuming starts from the beginning
    threads: int | None
    worked: float | None  # when the work itself last gave a sign; the heartbeat goes beside it
    tag: str | None = None
    damage: str | None = None  # what of its record cannot be read

    @property
    def active(self) -> bool:
        """Whether it is waiting or working, and so may still change by itself."""
        return self.status in ACTIVE

    @property
    def resumable(self) -> bool:
        """Whether it can be resumed."""
        return self.status in RESUMABLE and self.damage is None

    @property
    def held(self) -> bool:
        """Whether a worker keeps the run in memory."""
        return self.pid is not None

    def quiet(self, now: float) -> float | None:
        """Return for how many seconds the work has shown no progress; None: not unusually long."""
        if self.status not in ("running", "cancelling") or self.worked is None:
            return None
        silence = now - self.worked
        return silence if silence > QUIET_SECONDS else None


@dataclass(frozen=True)
class MetricView:
    """One row of a run's history. `level` is "batch" (a few a second), "epoch" or "step"."""

    id: int
    level: str
    time: float
    epoch: float | None = None
    step: int | None = None
    loss: float | None = None
    accuracy: float | None = None  # 0..1
    val_loss: float | None = None
    macs: int | None = None
    params: int | None = None
    units_left: int | None = None
    seconds: float | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


def metrics_frame(metrics: Iterable[MetricView]) -> pd.DataFrame:
    """Return the rows as a table, the `extra` values as columns of their own."""
    import pandas as pd

    columns = [item.name for item in dataclasses.fields(MetricView) if item.name != "extra"]
    rows = [{**{c: getattr(m, c) for c in columns}, **m.extra} for m in metrics]
    frame = pd.DataFrame(rows)
    return frame if rows else pd.DataFrame(columns=pd.Index(columns))


def plain(value: Any) -> Any:
    """Return `value` as JSON can hold it: dataclasses as dicts, arrays and tensors as lists."""
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):  # NumPy arrays and scalars, torch tensors
        return value.tolist()
    if isinstance(value, Iterable):
        return [plain(item) for item in value]
    raise TypeError(f"a value of type '{type(value).__name__}' is not")
