"""What a class predicts: how many chose each answer, and nobody's name."""

from __future__ import annotations

from collections import Counter

from sqlalchemy import delete, func, select

from pruneviz.jobs.database import Database
from pruneviz.jobs.inserting import insert_into
from pruneviz.jobs.schema import Prediction

MOST = 2000
"""Answers to one question that are kept; a class is smaller, a script may not be."""


class Votes:
    """Answers to the lessons' questions, in the records: those given in any studio count.

    Who answered is kept only so that the same visitor counts once; it is never given out.

    Raises:
        StorageError: the records do not answer.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def give(self, lesson: str, step: int, visitor: str, choice: int) -> None:
        """Count a visitor's answer; another one of the same visitor takes its place."""
        given = {"lesson": lesson, "step": step, "visitor": visitor, "choice": choice}
        here = Prediction.lesson == lesson, Prediction.step == step
        with self._database.transaction() as session:
            others = session.scalar(
                select(func.count()).where(*here, Prediction.visitor != visitor)
            )
            if (others or 0) < MOST:
                session.execute(
                    insert_into(session, Prediction)
                    .values(given)
                    .on_conflict_do_update(
                        index_elements=("lesson", "step", "visitor"), set_={"choice": choice}
                    )
                )

    def counts(self, lesson: str, step: int, choices: int) -> tuple[int, ...]:
        """How many chose each of the answers to a question."""
        here = Prediction.lesson == lesson, Prediction.step == step
        query = select(Prediction.choice, func.count()).where(*here).group_by(Prediction.choice)
        with self._database.reading() as session:
            counted = Counter({row[0]: int(row[1]) for row in session.execute(query)})
        return tuple(counted[i] for i in range(choices))

    def clear(self, lesson: str) -> None:
        """Forget the answers of a lesson: the next class begins."""
        with self._database.transaction() as session:
            session.execute(delete(Prediction).where(Prediction.lesson == lesson))
