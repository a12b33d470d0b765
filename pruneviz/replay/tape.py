"""One mini-batch's forward pass, kept so that it can be run again in parts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from pruneviz.replay.fast import Kept, weights_of
from pruneviz.replay.program import (
    INPUT,
    NotReplayableError,
    Program,
    Step,
    bind,
    boundary,
    dirty,
    execute,
    references,
    schedule,
)
from pruneviz.replay.record import record

Changed = Mapping[str, Tensor]


@dataclass(eq=False)
class Recipe:
    """A program made ready for replays in which only the parameters `changing` change.

    Shared by the tapes of all mini-batches of one shape, and by threads: it only caches.
    """

    program: Program
    changing: frozenset[str]
    keep: frozenset[int] = frozenset()
    env: dict[str, Tensor] = field(default_factory=dict)
    used: frozenset[str] = frozenset()
    skippable: frozenset[str] = frozenset()
    seen_as: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Parameter -> the names under which operations use it, where its zero columns stay zero."""
    full: tuple[Step, ...] = ()
    """All of the program, with what replays may read kept."""
    _parts: dict[frozenset[str], tuple[Step, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        program = self.program
        self.keep = boundary(program, self.changing)
        self.used, self.skippable = weights_of(program)
        derived = program.derived.items()
        for name in self.changing:
            scaled = [key for key, d in derived if d.scaled == name]
            self.seen_as[name] = tuple(k for k in (name, *scaled) if k in self.used)
        self.env = {**program.state, **derive(program, program.state, program.derived)}
        self.full = schedule(program, range(len(program.ops)), self.keep)

    def steps(self, names: frozenset[str]) -> tuple[Step, ...]:
        """Return what to compute again when the parameters `names` change."""
        if names not in self._parts:
            output = frozenset(references(self.program.output))
            self._parts[names] = schedule(self.program, dirty(self.program, names), output)
        return self._parts[names]

    def prepare(self, changed: Changed) -> dict[str, Tensor]:
        """Return every tensor that differs from `env`, under the names that operations use.

        Raises `KeyError` for a name that is unknown, or not among `changing`.
        """
        env, program = self.env, self.program
        unknown = sorted(set(changed) - set(program.aliases))
        if unknown:
            raise KeyError(f"the model has no parameter or buffer '{unknown[0]}'")
        own = {program.aliases[name]: tensor for name, tensor in changed.items()}
        outside = sorted(set(own) - self.changing)
        if outside:
            raise KeyError(f"'{outside[0]}' is not among the parameters this tape may change")
        affected = {
            k: d for k, d in program.derived.items() if not own.keys().isdisjoint(d.sources)
        }
        return {**own, **derive(program, {**env, **own}, affected)}


def derive(program: Program, env: Mapping[str, Tensor], wanted: Iterable[str]) -> dict[str, Tensor]:
    """Compute derived tensors (folded norms) from parameters."""
    return {
        key: program.derived[key].compute(*(env[s] for s in program.derived[key].sources))
        for key in wanted
    }


class Tape:
    """A recorded forward pass over one mini-batch.

    `run(changed)` returns what the model would return with the parameters in `changed` replaced:
    it computes the operations that depend on them and takes everything else as recorded.
    """

    def __init__(self, recipe: Recipe, images: Tensor) -> None:
        """Run the recipe on images (N, C, H, W), and keep what replays may read."""
        self.recipe = recipe
        self.values: dict[int, Tensor] = {INPUT: images}
        with torch.no_grad():
            execute(recipe.full, self.values, recipe.env)
        if INPUT not in recipe.keep:
            self.values.pop(INPUT, None)

    @classmethod
    def record(
        cls, model: nn.Module, images: Tensor, *, changing: Iterable[str] | None = None
    ) -> Tape:
        """Record `model` (in eval mode) on `images` (N, C, H, W).

        `changing` names the parameters and buffers that replays may replace (None: any); what no
        such replay reads is not kept. Raises `NotReplayableError` when the pass cannot be
        repeated faithfully.
        """
        return cls(recipe_of(record(model, images), changing), images)

    @property
    def output(self) -> Any:
        """What the recorded pass returned."""
        return bind(self.recipe.program.output, self.values, self.recipe.env)

    @property
    def nbytes(self) -> int:
        """Bytes of the activations that are kept."""
        storages = [value.untyped_storage() for value in self.values.values()]
        return sum({s._cdata: s.nbytes() for s in storages}.values())

    def run(self, changed: Changed) -> Any:
        """Return the output, as the model returns it, with the tensors `changed` in place.

        `changed` maps names of parameters or buffers to tensors. Raises `KeyError` for a name that
        is unknown, or not among those that this tape may change.
        """
        return self.replay(self.recipe.prepare(changed), self.recipe.steps(frozenset(changed)))

    def replay(self, tensors: Mapping[str, Tensor | Kept], steps: Iterable[Step]) -> Any:
        """Run `steps` with prepared `tensors` (see `Recipe`) in place of the recorded ones."""
        env: dict[str, Any] = {**self.recipe.env, **tensors}
        with torch.no_grad():
            values = execute(steps, dict(self.values), env)
        return bind(self.recipe.program.output, values, env)


def recipe_of(program: Program, changing: Iterable[str] | None = None) -> Recipe:
    """Make a program ready for replays that change `changing` (None: any parameter or buffer)."""
    names = program.aliases if changing is None else changing
    unknown = sorted(set(names) - set(program.aliases))
    if unknown:
        raise KeyError(f"the model has no parameter or buffer '{unknown[0]}'")
    return Recipe(program, frozenset(program.aliases[n] for n in names))


__all__ = ["Changed", "NotReplayableError", "Recipe", "Tape", "recipe_of"]
