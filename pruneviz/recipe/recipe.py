"""A recipe: which network and data, and what is done with them, as JSON to be kept and shared."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pruneviz import stored
from pruneviz.errors import RecipeError, StorageError, UnknownNameError

FORMAT = "pruneviz-recipe/1"

KINDS: Mapping[str, Mapping[str, tuple[type, ...]]] = {
    "rank": {"criterion": (str,), "images": (int,), "seed": (int,)},
    "threshold": {
        "criterion": (str,),
        "ratio": (int, float, dict),
        "scope": (str,),
        "protected": (list,),
        "multiple": (int,),
    },
    "drop": {"layer": (str,), "filters": (list,)},
    "keep": {"layer": (str,), "filters": (list,)},
    "plan": {"link": (str,)},
    "strategy": {"name": (str,), "options": (dict,)},
    "prune": {},
    "repair": {"images": (int,), "depth": (str,), "seed": (int,)},
    "recalibrate": {"images": (int,), "seed": (int,)},
    "fine_tune": {"options": (dict,)},
    "evaluate": {"split": (str,)},
    "export": {"formats": (list,), "name": (str,)},
}
"""Every kind of step, and the values that it may have."""

TEACHERS = ("unpruned",)
"""Who may teach in a step of fine-tuning: the option `teacher`."""

REQUIRED: Mapping[str, tuple[str, ...]] = {
    "rank": ("criterion",),
    "threshold": ("criterion", "ratio"),
    "drop": ("layer", "filters"),
    "keep": ("layer", "filters"),
    "plan": ("link",),
    "strategy": ("name",),
}

DIGESTS = ("weights", "data", "network", "plan", "result")
"""What a recipe may hold the digest of: the unpruned weights, the images, the network's
structure, the plan, and the weights at the end."""


@dataclass(frozen=True)
class Step:
    """One thing that is done, with its values; `note` says it in a person's words."""

    kind: str
    values: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return a mapping that JSON holds."""
        return {"do": self.kind, **self.values, **({"note": self.note} if self.note else {})}

    @classmethod
    def from_dict(cls, record: Any, place: int) -> Step:
        """Read a step; `RecipeError` says which one is wrong, and how."""
        if not isinstance(record, Mapping) or "do" not in record:
            raise RecipeError(f"Step {place} must say what to do ('do'), but got {record!r}.")
        values = {k: v for k, v in record.items() if k not in ("do", "note")}
        kind = record["do"]
        if kind not in KINDS:
            raise UnknownNameError(f"step {place} of a recipe,", kind, KINDS)
        known = KINDS[kind]
        for name, value in values.items():
            if name not in known:
                raise UnknownNameError(f"value of step {place} ({kind}),", name, known)
            if not isinstance(value, known[name]) or isinstance(value, bool):
                kinds = " or ".join(t.__name__ for t in known[name])
                raise RecipeError(
                    f"Step {place} ({kind}): '{name}' must be {kinds}, but got {value!r}."
                )
        missing = [name for name in REQUIRED.get(kind, ()) if name not in values]
        if missing:
            raise RecipeError(f"Step {place} ({kind}) needs '{missing[0]}'; add it.")
        return cls(kind, values, str(record.get("note", "")))


@dataclass(frozen=True)
class Recipe:
    """The steps from an unpruned network to exported files.

    `model` and `data` are the sources that load them again (`ModelSource.to_dict()`,
    `DataSet.source`), `digests` identifies them and the results, `made_with` holds the versions and
    the machine. The same recipe gives the same plan anywhere, and on the machine that wrote it the
    same weights.
    """

    model: Mapping[str, Any]
    data: Mapping[str, Any]
    steps: tuple[Step, ...]
    digests: Mapping[str, str] = field(default_factory=dict)
    made_with: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> str:
        """The recipe as text; `from_json` gives the same recipe again."""
        return json.dumps(
            {
                "format": FORMAT,
                "model": dict(self.model),
                "data": dict(self.data),
                "steps": [step.to_dict() for step in self.steps],
                "digests": dict(self.digests),
                "made_with": dict(self.made_with),
            },
            indent=1,
        )

    @classmethod
    def from_json(cls, text: str | bytes) -> Recipe:
        """Read a recipe back.

        Raises:
            RecipeError: The text is no recipe, or a step is not as it should be; it says which.
        """
        return stored.read(text, "A recipe", FORMAT, cls._from_values, RecipeError)

    @classmethod
    def read(cls, path: Path | str) -> Recipe:
        """Read a recipe from a file; `StorageError` where there is none."""
        try:
            return cls.from_json(Path(path).read_bytes())
        except OSError as error:
            raise StorageError(
                f"The recipe '{path}' cannot be read ({error.strerror}); give the path of a JSON "
                "file that the page Export wrote."
            ) from error

    @classmethod
    def _from_values(cls, values: dict[str, Any]) -> Recipe:
        steps, digests = values["steps"], dict(values.get("digests", {}))
        for name in digests:
            if name not in DIGESTS:
                raise UnknownNameError("digest of a recipe", name, DIGESTS)
        if not isinstance(steps, list):
            raise RecipeError(f"A recipe's steps are a list, but got {type(steps).__name__}.")
        return cls(
            model=dict(values["model"]),
            data=dict(values["data"]),
            steps=tuple(Step.from_dict(step, i) for i, step in enumerate(steps, 1)),
            digests=digests,
            made_with=dict(values.get("made_with", {})),
        )

    def with_steps(self, steps: Iterable[Step]) -> Recipe:
        """The same network and data with other steps; its digests of the results are dropped."""
        kept = {k: v for k, v in self.digests.items() if k != "result"}
        return Recipe(self.model, self.data, tuple(steps), kept, self.made_with)
