"""What the studio opens with: what its owner started it on, or the bundled network."""

from __future__ import annotations

import json
import os

from pruneviz.session.decisions import Subject

VARIABLE = "PRUNEVIZ_OPENS_WITH"


def open_with(subject: Subject, environment: dict[str, str] | None = None) -> None:
    """Have studios of this process, or of an environment, open with this subject."""
    target = os.environ if environment is None else environment
    target[VARIABLE] = json.dumps(subject.to_dict())


def first_subject() -> Subject:
    """The subject that a visitor meets first."""
    text = os.environ.get(VARIABLE)
    return Subject.from_dict(json.loads(text)) if text else Subject()
