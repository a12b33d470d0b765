"""The options of a strategy: declared once, described for a form, checked when given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field
from types import NoneType, UnionType
from typing import Any, Literal, get_args

from pruneviz.errors import InvalidValueError, UnknownNameError


def option(
    default: Any,
    help: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: Sequence[str] | Mapping[str, str] | Literal["criteria"] | None = None,
    label: str = "",
    unit: str = "",
) -> Any:
    """A field of an options class, with what a form needs to show it.

    Args:
        default: Its value where none is given.
        help: A sentence or two on what it does.
        minimum: The least value, if there is one.
        maximum: The greatest value, if there is one.
        choices: What it can be, also with what people call each (a mapping from value to words);
            "criteria" for the names of all criteria.
        label: What people call it; by default its name, with spaces.
        unit: What a number counts or its range: "epochs", "images", "0 to 1".
    """
    about = {"help": help, "minimum": minimum, "maximum": maximum, "choices": choices}
    return field(default=default, metadata={**about, "label": label, "unit": unit})


def params_target() -> Any:
    """The option of strategies that can also stop at a number of parameters."""
    return option(
        None,
        "Fraction of the parameters to keep.",
        minimum=0.0,
        maximum=1.0,
        label="Parameters to keep",
        unit="0 to 1",
    )


def batch_of_updates() -> Any:
    """The option of strategies that train for some updates between their decisions."""
    return option(
        32,
        "Images in each of these mini-batches.",
        minimum=2,
        label="Mini-batch size of the updates",
        unit="images",
    )


def lr_of_updates(default: float) -> Any:
    """The learning rate of those updates."""
    return option(
        default,
        "Learning rate of these updates.",
        minimum=0.0,
        label="Learning rate of the updates",
    )


TEACHER = (
    "After filters are removed, also learn from the unpruned network's softened outputs, if it "
    "was trained on these classes. An epoch takes about 1.5 times as long."
)


@dataclass(frozen=True)
class FineTuning:
    """Options that all strategies share: how the network is trained."""

    epochs: int = option(
        3,
        "Epochs of fine-tuning after the last removal.",
        minimum=0,
        label="Fine-tuning at the end",
        unit="epochs",
    )
    lr: float | None = option(
        None,
        "By default chosen for the optimiser and the network.",
        minimum=0.0,
        label="Learning rate",
    )
    batch_size: int | None = option(
        None,
        "Images per update; by default chosen for the data set.",
        minimum=1,
        label="Mini-batch size",
        unit="images",
    )
    optimizer: str = option(
        "sgd",
        "SGD, or AdamW (Loshchilov & Hutter 2019).",
        choices={"sgd": "SGD with Nesterov momentum", "adamw": "AdamW"},
        label="Optimiser",
    )
    schedule: str = option(
        "cosine",
        "How the learning rate changes.",
        choices=("cosine", "one-cycle", "steps", "constant"),
        label="Learning-rate schedule",
    )
    weight_decay: float = option(
        5e-4,
        "How strongly each update pulls the weights towards zero.",
        minimum=0.0,
        label="Weight decay",
    )
    mixed_precision: bool = option(
        False, "Compute in bfloat16 where that is safe.", label="Mixed precision"
    )
    teacher: bool = option(
        False, f"{TEACHER} Not in the paper.", label="Learn from the unpruned network"
    )


@dataclass(frozen=True)
class OneOff(FineTuning):
    """Options of strategies that remove much at once, so that a repair pays off."""

    teacher: bool = option(True, TEACHER, label="Learn from the unpruned network")
    repair: bool = option(
        True,
        "Refit the remaining weights in closed form after each removal, before training.",
        label="Repair after each removal",
    )


@dataclass(frozen=True)
class OptionInfo:
    """One option, as a form needs it."""

    name: str
    kind: str
    """"int", "float", "bool" or "str"."""
    optional: bool
    """Whether None is allowed."""
    default: Any
    help: str
    minimum: float | None
    maximum: float | None
    choices: tuple[str, ...] | None
    label: str = ""
    """What people call it."""
    unit: str = ""
    """What a number counts, or its range; empty where it has none."""
    choice_names: tuple[str, ...] = ()
    """What people call each of the choices, in their order."""

    @property
    def title(self) -> str:
        """The label with its unit, as a form shows it."""
        return f"{self.label}, {self.unit}" if self.unit else self.label


def described_option(described: Field[Any], hint: Any) -> OptionInfo:
    """What a form needs to know of a field of an options class."""
    kinds = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    plain = next(kind for kind in kinds if kind is not NoneType)
    if described.default is MISSING:
        raise TypeError(f"Option '{described.name}' needs a default.")
    about = described.metadata
    choices = about["choices"]
    if choices == "criteria":
        from pruneviz.criteria.registry import registered

        choices = {name: f"{known.title} ({name})" for name, known in registered().items()}
    names = dict(choices) if isinstance(choices, Mapping) else {c: c for c in choices or ()}
    return OptionInfo(
        name=described.name,
        kind=plain.__name__,
        optional=NoneType in kinds,
        default=described.default,
        help=about["help"],
        minimum=about["minimum"],
        maximum=about["maximum"],
        choices=None if choices is None else tuple(names),
        label=about.get("label") or described.name.replace("_", " ").capitalize(),
        unit=about.get("unit", ""),
        choice_names=tuple(names.values()),
    )


def check_option(strategy: str, info: OptionInfo, value: object) -> None:
    """Check that an option takes this value.

    Raises:
        UnknownNameError: It is none of the choices.
        InvalidValueError: A value of the wrong kind or outside the range.
    """
    label = f"Option '{info.name}' of strategy '{strategy}'"
    if value is None and info.optional:
        return
    allowed = {"int": (int,), "float": (int, float), "bool": (bool,), "str": (str,)}[info.kind]
    if not isinstance(value, allowed) or (isinstance(value, bool) and info.kind != "bool"):
        nouns = {"int": "a whole number", "float": "a number", "bool": "True or False"}
        raise InvalidValueError(
            f"{label} must be {nouns.get(info.kind, 'a text')}, but got {value!r}."
        )
    if info.choices is not None and value not in info.choices:
        raise UnknownNameError(f"{info.name} of strategy '{strategy}'", value, info.choices)
    low, high = info.minimum, info.maximum
    number: Any = value
    if low is not None and not number >= low:
        raise InvalidValueError(f"{label} must be at least {low}, but got {value}.")
    if high is not None and not number <= high:
        raise InvalidValueError(f"{label} must be at most {high}, but got {value}.")
