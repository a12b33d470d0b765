"""Every dependency is bounded on both sides, and what is installed lies within the bounds."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())


def requirements() -> Iterator[Requirement]:
    project = PROJECT["project"]
    lists = [PROJECT["build-system"]["requires"], project["dependencies"]]
    lists += project["optional-dependencies"].values()
    for text in (text for part in lists for text in part):
        found = Requirement(text)
        if found.name != "pruneviz":
            yield found


@pytest.mark.parametrize("requirement", list(requirements()), ids=str)
def test_bounds_keep_the_next_major_version_out(requirement: Requirement) -> None:
    lower = [Version(s.version) for s in requirement.specifier if s.operator in (">=", "==", "~=")]
    upper = [Version(s.version) for s in requirement.specifier if s.operator in ("<", "==", "~=")]
    assert lower
    assert upper
    try:
        installed = Version(version(requirement.name))
    except PackageNotFoundError:
        return  # an extra
    assert installed in requirement.specifier
    assert Version(f"{installed.major + 1}") not in requirement.specifier
