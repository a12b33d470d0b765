"""Which claim is put to the test, and with what: a value that forms, commands and runs share."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pruneviz import stored
from pruneviz.arguments import check_seeds
from pruneviz.data_options import check_data
from pruneviz.errors import InvalidValueError, UnknownNameError
from pruneviz.studies.papers.claims import SCALES, Claim, find_claim
from pruneviz.studies.papers.result import named


@dataclass(frozen=True)
class Request:
    """One experiment; everything that decides its figures.

    Raises `UnknownNameError` for a claim or scale that there is not, and `InvalidValueError` for
    seeds or a limit that make no sense.
    """

    claim: str
    network: str = ""
    """By default the claim's first."""
    data: str = "digits"
    root: str | None = None
    """The folder or zip of its images, where it needs one."""
    weights: str | None = None
    """By default those trained on the data; others are transferred first."""
    size: int | None = None
    """Side of the images in pixels; by default what the data set has."""
    limit: int | None = None
    """Images a class in each split, at most."""
    scale: str = "minutes"
    seeds: tuple[int, ...] = (0, 1, 2)

    def __post_init__(self) -> None:
        claim = find_claim(self.claim)
        if not self.network:
            object.__setattr__(self, "network", claim.networks[0])
        if self.scale not in SCALES:
            raise UnknownNameError("scale", self.scale, SCALES)
        check_seeds(self.seeds)
        if self.limit is not None and self.limit < 1:
            raise InvalidValueError(
                f"The limit must be at least 1 image per class, but got {self.limit}."
            )
        if self.data != "own":  # images from Python
            given = {"root": self.root, "size": self.size, "limit": self.limit}
            check_data(self.data, {n: v for n, v in given.items() if v is not None})

    @property
    def about(self) -> Claim:
        """The claim."""
        return find_claim(self.claim)

    @property
    def called(self) -> str:
        """What the data are called: an image folder by its own name."""
        return Path(self.root).stem if self.root else self.data

    @property
    def name(self) -> str:
        """The name of the result, without an ending."""
        return named(self.claim, self.network, self.called, self.scale)

    def command(self) -> str:
        """The command that gives the result again; a path shrinks to its name."""
        parts = [f"pruneviz lab run {self.claim} --network {self.network} --data {self.data}"]
        if self.root:
            parts.append(f"--root {Path(self.root).name}")
        if self.size:
            parts.append(f"--size {self.size}")
        if self.limit:
            parts.append(f"--limit {self.limit}")
        if self.weights:
            parts.append(f"--weights {Path(self.weights).name}")
        parts.append(f"--scale {self.scale} --seeds {' '.join(map(str, self.seeds))}")
        return " ".join(parts)

    def to_dict(self) -> dict[str, Any]:
        """A mapping that JSON holds."""
        return {**dataclasses.asdict(self), "seeds": list(self.seeds)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Request:
        """The request that `to_dict` wrote. Raises as the constructor does, or for other keys."""
        known = [item.name for item in dataclasses.fields(cls)]
        for name in values:
            if name not in known:
                raise UnknownNameError("option of an experiment", name, known)
        if "claim" not in values:
            raise InvalidValueError("An experiment needs the name of a claim; it is missing.")
        try:
            return stored.make(cls, values)
        except TypeError as error:
            raise InvalidValueError(f"An experiment has no such options: {error}.") from None
