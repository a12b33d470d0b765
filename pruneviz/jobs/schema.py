"""The tables of the records, the same in SQLite and in PostgreSQL."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, Integer
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from pruneviz.jobs.columns import Json, Words


class Base(DeclarativeBase):
    """Base of the tables."""

    type_annotation_map = {  # noqa: RUF012 (SQLAlchemy reads it so)
        dict[str, Any]: Json,
        str: Words,
        # SQLite's integers hold any count; PostgreSQL's INTEGER ends at two billion MACs.
        int: BigInteger().with_variant(Integer(), "sqlite"),
    }


class Run(Base):
    """One background run; `claim` names the worker that may write it."""

    __tablename__ = "runs"
    # The newest of a filtered list, without sorting a hundred thousand.
    __table_args__ = tuple(
        Index(f"ix_runs_{column}", column, "created")
        for column in ("status", "kind", "owner", "network", "data", "strategy", "tag", "parent")
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(index=True)
    kind: Mapped[str]
    status: Mapped[str]
    request: Mapped[str | None]
    created: Mapped[float] = mapped_column(index=True)
    queued: Mapped[float]
    started: Mapped[float | None]
    ended: Mapped[float | None]
    spec: Mapped[dict[str, Any]]
    progress: Mapped[float] = mapped_column(default=0.0)
    message: Mapped[str] = mapped_column(default="")
    error: Mapped[str | None]
    trace: Mapped[str | None]
    heartbeat: Mapped[float | None]
    pid: Mapped[int | None]
    process: Mapped[str | None]
    host: Mapped[str | None]
    claim: Mapped[str | None]
    submitter: Mapped[str | None]
    parent: Mapped[str | None]
    tag: Mapped[str | None]
    owner: Mapped[str | None]
    network: Mapped[str | None]
    data: Mapped[str | None]
    strategy: Mapped[str | None]
    seconds: Mapped[float] = mapped_column(default=0.0)
    attempts: Mapped[int] = mapped_column(default=0)
    checkpoints: Mapped[int] = mapped_column(default=0)
    threads: Mapped[int | None]
    worked: Mapped[float | None]


class App(Base):
    """A process that submits runs and gives a sign of life every few seconds."""

    __tablename__ = "apps"

    id: Mapped[str] = mapped_column(primary_key=True)
    seen: Mapped[float]


class Artifact(Base):
    """A file of a run in the artifact store, by the digest of its content."""

    __tablename__ = "artifacts"

    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    digest: Mapped[str] = mapped_column(index=True)
    size: Mapped[int]


class PlanStep(Base):
    """One decision about a plan, by the digest of what it is; never changed."""

    __tablename__ = "steps"

    id: Mapped[str] = mapped_column(primary_key=True)
    parent: Mapped[str | None]
    content: Mapped[dict[str, Any]]
    taken: Mapped[float]


class Prediction(Base):
    """What a visitor answered to a lesson's question."""

    __tablename__ = "predictions"

    lesson: Mapped[str] = mapped_column(primary_key=True)
    step: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    visitor: Mapped[str] = mapped_column(primary_key=True)
    choice: Mapped[int]


class Upload(Base):
    """A file in the artifact store that a visitor uploaded, by the digest of its content."""

    __tablename__ = "uploads"

    digest: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    visitor: Mapped[str] = mapped_column(primary_key=True, index=True)
    size: Mapped[int]


class Study(Base):
    """A study whose later runs depend on its earlier ones; `id` is the parent of its runs."""

    __tablename__ = "studies"

    id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str]
    name: Mapped[str]
    request: Mapped[dict[str, Any]]
    owner: Mapped[str | None]
    quota: Mapped[dict[str, Any] | None]
    status: Mapped[str] = mapped_column(index=True)
    error: Mapped[str | None]
    submitter: Mapped[str | None]
    created: Mapped[float]


class Metric(Base):
    """One row of a run's history; ids only grow, so that readers can ask for what is new."""

    __tablename__ = "metrics"
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012

    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), index=True)
    level: Mapped[str]
    time: Mapped[float]
    epoch: Mapped[float | None]
    step: Mapped[int | None]
    loss: Mapped[float | None]
    accuracy: Mapped[float | None]
    val_loss: Mapped[float | None]
    macs: Mapped[int | None]
    params: Mapped[int | None]
    units_left: Mapped[int | None]
    seconds: Mapped[float | None]
    extra: Mapped[dict[str, Any]] = mapped_column(default=dict)


class Result(Base):
    """One named part of a run's results; large arrays are files in the run's folder."""

    __tablename__ = "results"

    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    payload: Mapped[Any] = mapped_column(Json)
    updated: Mapped[float]
