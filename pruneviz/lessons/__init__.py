"""Guided tours beside the live studio: a Markdown file a lesson, a heading a step.

A step has text, and below it any of these lines:

- `page:` the page on which it happens;
- `ask:` a question, to be answered before anything is shown, with its choices `( )` and the right
  one `(x)`;
- `do:` what to do, and `check:` when it is done: conditions on facts of the studio, such as
  `pruned >= 0.3, page == prune`;
- `reveal:` what is said once all that is done; `{cut}` and other facts stand for their values.

Adding a lesson is adding a file to this folder.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pruneviz.arguments import one_of
from pruneviz.errors import InvalidValueError

FOLDER = Path(__file__).parent
Fact = float | str | None
FACTS: Mapping[str, str] = {
    "page": "the page that is open",
    "criterion": "the criterion that filters are ranked by",
    "view": "the view that is open on the page Prune",
    "explain": "the view that is open on the page Explain",
    "layer": "the layer that is open on the page Rank",
    "tab": "the tab that is open on the page Rank",
    "maps": "which feature maps are shown: after, before or difference",
    "image": "the number of the image that goes through the network",
    "drawn": "images that were drawn",
    "pruned": "the share of filters that are pruned, 0..1",
    "macs": "the share of MACs that is left, 0..1",
    "baseline": "the unpruned network's accuracy, 0..1",
    "cut": "the accuracy before repair, 0..1",
    "repaired": "the accuracy after the repair, 0..1",
    "multiple": "what widths are rounded to multiples of",
    "picks": "filters that were picked by a click",
    "plans": "plans that were visited",
    "runs": "fine-tuning runs of this network that are done",
    "tuned": "the best accuracy of these runs, 0..1",
    "timings": "plans whose time was measured",
}
"""What a check may ask for, and what it means."""
COUNTS = ("image", "drawn", "multiple", "picks", "plans", "runs", "timings")
_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "==": operator.eq,
}
_CONDITION = re.compile(r"(\w+)\s*(>=|<=|==|>|<)\s*(.+)")
_FIELD = re.compile(r"^- (page|ask|do|check|reveal|\( \)|\(x\)):?\s+(.*)$")


@dataclass(frozen=True)
class Condition:
    """One thing that a check asks for."""

    fact: str
    compare: str
    value: float | str

    def holds(self, facts: Mapping[str, Fact]) -> bool:
        """Whether the facts say so; what is not known yet does not hold."""
        now = facts.get(self.fact)
        if now is None or isinstance(now, str) != isinstance(self.value, str):
            return False
        return _COMPARE[self.compare](now, self.value)


@dataclass(frozen=True)
class Step:
    """A heading of the lesson's file, and what stands below it."""

    title: str
    text: str
    page: str = ""
    ask: str = ""
    choices: tuple[str, ...] = ()
    right: int = -1
    do: str = ""
    check: tuple[Condition, ...] = ()
    reveal: str = ""

    def done(self, facts: Mapping[str, Fact]) -> bool:
        """Whether what is to be done has been done."""
        return all(condition.holds(facts) for condition in self.check)

    def revealed(self, facts: Mapping[str, Fact]) -> str:
        """What is said afterwards, with the facts' values in it; `…` for what is not known yet."""
        return re.sub(r"\{(\w+)\}", lambda m: said(m[1], facts.get(m[1])), self.reveal)


@dataclass(frozen=True)
class Lesson:
    """A guided tour."""

    name: str
    title: str
    summary: str
    steps: tuple[Step, ...]


def said(name: str, value: Fact) -> str:
    """A fact as a reader meets it: shares in percent."""
    if value is None:
        return "…"
    if isinstance(value, str):
        return value
    whole = name in COUNTS
    return f"{value:.0f}" if whole else f"{100 * value:.1f} %"


def names() -> tuple[str, ...]:
    """The lessons' names, in the order in which they are offered: that of their files."""
    return tuple(file.stem for file in sorted(FOLDER.glob("*.md")))


@cache
def lesson(name: str) -> Lesson:
    """The lesson of that name; `UnknownNameError` lists the choices."""
    file = FOLDER / f"{one_of('lesson', name, names())}.md"
    return parse(name, file.read_text(encoding="utf-8"))


def parse(name: str, text: str) -> Lesson:
    """Read a lesson.

    Raises:
        InvalidValueError: A heading, a choice or a check is missing or cannot be understood.
        UnknownNameError: A check asks for a fact that there is not.
    """
    head, *parts = re.split(r"^## ", text, flags=re.MULTILINE)
    title, _, summary = head.partition("\n")
    if not title.startswith("# ") or not parts:
        raise InvalidValueError(
            f"The lesson '{name}' must begin with '# ' and its title, and have a '## ' for each "
            "of its steps."
        )
    steps = tuple(_step(name, part) for part in parts)
    return Lesson(name, title.removeprefix("# ").strip(), " ".join(summary.split()), steps)


def _step(name: str, part: str) -> Step:
    title, _, body = part.partition("\n")
    fields: dict[str, str] = {}
    choices: list[str] = []
    right = -1
    text: list[str] = []
    last = ""
    for line in body.splitlines():
        field = _FIELD.match(line)
        if field is None and last and line.startswith("  "):
            fields[last] += " " + line.strip()
            continue
        last = ""
        if field is None:
            text.append(line)
        elif field[1].startswith("("):
            right = len(choices) if field[1] == "(x)" else right
            choices.append(field[2])
        else:
            last = field[1]
            fields[last] = field[2]
    where = f"Step '{title.strip()}' of the lesson '{name}'"
    if "ask" in fields and (len(choices) < 2 or right < 0):
        raise InvalidValueError(f"{where} asks, but has no two choices of which one is '(x)'.")
    if ("do" in fields) != ("check" in fields):
        raise InvalidValueError(f"{where} needs both 'do:' and 'check:', or neither.")
    return Step(
        title=title.strip(),
        text="\n".join(text).strip(),
        page=fields.get("page", ""),
        ask=fields.get("ask", ""),
        choices=tuple(choices),
        right=right,
        do=fields.get("do", ""),
        check=_conditions(where, fields.get("check", "")),
        reveal=fields.get("reveal", ""),
    )


def _conditions(where: str, text: str) -> tuple[Condition, ...]:
    conditions = []
    for part in filter(None, (p.strip() for p in text.split(","))):
        match = _CONDITION.fullmatch(part)
        if match is None:
            raise InvalidValueError(
                f"{where} checks '{part}', which is no condition like 'pruned >= 0.3'."
            )
        one_of("fact", match[1], FACTS)
        value = match[3].strip()
        try:
            conditions.append(Condition(match[1], match[2], float(value)))
        except ValueError:
            conditions.append(Condition(match[1], match[2], value))
    return tuple(conditions)
