"""What a person has chosen: network, data, and the decisions from which the plan follows.

Plain values without torch or Streamlit: they are compared, stored as JSON and undone as they are.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pruneviz.errors import InvalidValueError

Scope = Literal["global", "group"]
Json = dict[str, Any]
WEIGHTS_FILES = (".safetensors", ".pt", ".pth")


@dataclass(frozen=True)
class Subject:
    """The network and the data under study, by the sources that load them again."""

    model: str = "resnet20"
    weights: str | None = "digits"
    num_classes: int | None = None
    data: str = "digits"
    options: tuple[tuple[str, Any], ...] = ()
    """The data set's own options, sorted by name."""

    def to_dict(self) -> Json:
        """Return a mapping that JSON holds."""
        return {
            "model": self.model,
            "weights": self.weights,
            "num_classes": self.num_classes,
            "data": self.data,
            "options": dict(self.options),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Subject:
        """Return the subject that `to_dict` wrote."""
        options = tuple(sorted(dict(values.get("options", {})).items()))
        return cls(
            model=str(values["model"]),
            weights=values.get("weights"),
            num_classes=values.get("num_classes"),
            data=str(values["data"]),
            options=options,
        )

    @property
    def paths(self) -> tuple[str, ...]:
        """Files and folders of this machine that it is loaded from, such as one's own weights."""
        root = dict(self.options).get("root")
        weights = self.weights or ""
        own = len(Path(weights).parts) > 1 or Path(weights).suffix in WEIGHTS_FILES
        files = (weights,) if own else ()
        return (*files, str(root)) if root else files

    @property
    def digest(self) -> str:
        """A name for the subject; the same choices give the same name."""
        return _digest(self.to_dict())

    @property
    def title(self) -> str:
        """How a person calls it: `resnet20 (digits) on digits`."""
        if self.weights and self.weights.startswith("own:"):
            return f"{self.model.removeprefix('own/')} on {self.data}"
        weights = self.weights.replace("\\", "/").rsplit("/", 1)[-1] if self.weights else "random"
        return f"{self.model} ({weights}) on {self.data}"


@dataclass(frozen=True)
class Decisions:
    """What has been decided about the subject; the plan is a function of it and of a ranking."""

    criterion: str = "fisher"
    """The studio begins with the one whose first tenths cost the bundled networks least."""
    scope: Scope = "global"
    ratio: float = 0.0
    """The slider for all groups."""
    ratios: tuple[tuple[str, float], ...] = ()
    """Groups whose own slider was moved: name and ratio, in order of name."""
    dropped: frozenset[int] = frozenset()
    """Units pruned by hand."""
    kept: frozenset[int] = frozenset()
    """Units kept by hand."""
    protected: frozenset[str] = frozenset()
    """Groups from which nothing is taken, except by hand."""
    multiple: int = 1
    """What stays of a group is a multiple of this many units, where it can be."""

    def __post_init__(self) -> None:
        if self.scope not in ("global", "group"):
            raise InvalidValueError(f"The scope must be 'global' or 'group', not '{self.scope}'.")
        for ratio in (self.ratio, *(r for _, r in self.ratios)):
            if not 0 <= ratio <= 1:
                raise InvalidValueError(f"A pruning ratio must be within 0..1, but got {ratio}.")
        if self.multiple < 1:
            raise InvalidValueError(f"Widths are multiples of at least 1, not {self.multiple}.")

    @property
    def by_hand(self) -> frozenset[int]:
        """Units that were picked one by one, either way."""
        return self.dropped | self.kept

    @property
    def needs_ranking(self) -> bool:
        """Whether the plan depends on scores: a slider was moved, or widths are rounded."""
        return self.ratio > 0 or bool(self.ratios) or self.multiple > 1

    def to_dict(self) -> Json:
        """Return a mapping that JSON holds; picks are sorted."""
        return {
            "criterion": self.criterion,
            "scope": self.scope,
            "ratio": self.ratio,
            "ratios": dict(self.ratios),
            "dropped": sorted(self.dropped),
            "kept": sorted(self.kept),
            "protected": sorted(self.protected),
            "multiple": self.multiple,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Decisions:
        """Return the decisions that `to_dict` wrote."""
        return cls(
            criterion=str(values["criterion"]),
            scope=values["scope"],
            ratio=float(values["ratio"]),
            ratios=tuple(sorted((str(k), float(v)) for k, v in dict(values["ratios"]).items())),
            dropped=frozenset(int(u) for u in values["dropped"]),
            kept=frozenset(int(u) for u in values["kept"]),
            protected=frozenset(str(g) for g in values["protected"]),
            multiple=int(values["multiple"]),
        )


Change = tuple[Decisions, str]
"""New decisions, and the name of the step that led to them."""


def _share(ratio: float) -> str:
    return f"{100 * ratio:.3g} %"


def _where(scope: Scope) -> str:
    return "over all groups" if scope == "global" else "of each group"


def set_ratio(d: Decisions, ratio: float) -> Change:
    """Move the slider for all groups; those that were set by hand stay until they are released."""
    return (
        replace(d, ratio=ratio),
        f"{d.criterion} {_share(ratio)} {_where(d.scope)}",
    )


def set_group_ratio(
    d: Decisions,
    group: str,
    ratio: float,
    title: str = "",
    *,
    released: frozenset[int] = frozenset(),
) -> Change:
    """Move one group's slider; the step is called by the group's title if that is given.

    `released` are units pruned by hand that are left to the slider from now on.
    """
    left = replace(d, dropped=d.dropped - released)
    return set_group_ratios(left, {group: ratio}, f"{title or group} {_share(ratio)}")


def set_group_ratios(d: Decisions, ratios: Mapping[str, float], label: str) -> Change:
    """Move several groups' sliders in one step."""
    merged = {**dict(d.ratios), **ratios}
    return replace(d, ratios=tuple(sorted(merged.items()))), label


def only_group_ratios(d: Decisions, ratios: Mapping[str, float], label: str) -> Change:
    """Move these groups' sliders and take all others back; what was picked by hand stays."""
    return replace(d, ratio=0.0, ratios=tuple(sorted(ratios.items())), multiple=1), label


def release(d: Decisions, group: str, title: str = "") -> Change:
    """Have a group's slider follow the one for all groups again."""
    left = tuple((name, ratio) for name, ratio in d.ratios if name != group)
    return replace(d, ratios=left), f"{title or group} follows the main slider again"


def set_criterion(d: Decisions, criterion: str) -> Change:
    """Choose by which scores the sliders drop."""
    return replace(d, criterion=criterion), f"criterion {criterion}"


def set_scope(d: Decisions, scope: Scope) -> Change:
    """Choose whether scores compete over all groups or within each."""
    return replace(d, scope=scope), f"ratio {_where(scope)}"


def set_multiple(d: Decisions, multiple: int) -> Change:
    """Choose to which multiple widths are rounded."""
    label = f"widths rounded to multiples of {multiple}" if multiple > 1 else "widths not rounded"
    return replace(d, multiple=multiple), label


def set_protected(
    d: Decisions, protected: frozenset[str], titles: Mapping[str, str] | None = None
) -> Change:
    """Choose the groups from which sliders take nothing; the step tells them by their titles."""
    more, less = protected - d.protected, d.protected - protected
    if more and not less:
        label = f"protected {_names(more, titles)}"
    elif less and not more:
        label = f"no longer protected {_names(less, titles)}"
    else:
        label = "protected groups changed"
    return replace(d, protected=protected), label


def _names(names: frozenset[str], titles: Mapping[str, str] | None) -> str:
    listed = [(titles or {}).get(name, name) for name in sorted(names)]
    return ", ".join(listed[:2]) + (f" and {len(listed) - 2} more" if len(listed) > 2 else "")


def drop_by_hand(d: Decisions, units: frozenset[int], label: str) -> Change:
    """Drop units whatever the sliders say."""
    return replace(d, dropped=d.dropped | units, kept=d.kept - units), label


def keep_by_hand(d: Decisions, units: frozenset[int], label: str) -> Change:
    """Keep units whatever the sliders say."""
    return replace(d, dropped=d.dropped - units, kept=d.kept | units), label


def forget_picks(d: Decisions) -> Change:
    """Clear all manual picks."""
    return replace(d, dropped=frozenset(), kept=frozenset()), "manual picks cleared"


def exactly(d: Decisions, units: frozenset[int], label: str) -> Change:
    """Drop exactly these units: sliders at zero, everything picked by hand."""
    return (
        replace(d, ratio=0.0, ratios=(), dropped=units, kept=frozenset(), multiple=1),
        label,
    )


def _digest(value: Json) -> str:
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
