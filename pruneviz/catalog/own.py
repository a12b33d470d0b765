"""A network of one's own: from a factory in a file, or an object.

It is code, so no name, record, upload or address leads to it: a process knows of one only if its
owner put it into the environment (`hand_over`), from which the studio's workers inherit it. The
file's digest is part of its name, so that a run never continues with a changed network unnoticed.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import torch
from torch import nn

from pruneviz.catalog import own_code
from pruneviz.catalog.architecture import Architecture
from pruneviz.catalog.downloads import Progress
from pruneviz.errors import InvalidValueError, WeightsError

VARIABLE = "PRUNEVIZ_OWN_NETWORK"
PREFIX = "own/"
KIND = "own"
DIGITS = 12


@dataclass(frozen=True)
class OwnNetwork:
    """Where a network of one's own comes from; `given` says whether this process has one.

    Attributes:
        name: The factory's name, or the object's class.
        path: The file with the factory, or with the pickled object.
        factory: The function in the file that returns the network; None for an object.
        digest: SHA-256 of the file.
    """

    name: str
    path: str
    factory: str | None
    digest: str

    @property
    def model(self) -> str:
        """Its name for `load_model`."""
        return PREFIX + self.name

    @property
    def weights(self) -> str:
        """The name of the weights that it comes with."""
        return f"{KIND}:{self.digest[:DIGITS]}"

    @property
    def handing_over(self) -> str:
        """Python with which its owner makes it known to another process; see `hand_over`."""
        made = repr(self) if self.factory is None else None
        network = f"own.{made}" if made else f"own.from_code({f'{self.path}:{self.factory}'!r})"
        return f"from pruneviz.catalog import own\n\nown.hand_over({network})\n"

    def load(self, num_classes: int | None = None) -> nn.Module:
        """The network as its owner made it.

        Raises:
            InvalidValueError: the file has changed since, or the factory does not work.
        """
        digest = digest_of(self.path)
        if digest != self.digest:
            raise InvalidValueError(
                f"'{self.path}' has changed since it was opened (it was {self.digest[:DIGITS]}, "
                f"now it is {digest[:DIGITS]}); start PruneViz with it again."
            )
        if self.factory is None:
            return _unpickled(self.path)
        return own_code.build(Path(self.path), self.factory, self.digest, num_classes)


def from_code(target: str) -> OwnNetwork:
    """The network of `FILE.py:FACTORY`, as the command line names it.

    Raises:
        InvalidValueError: there is no such file.
    """
    path, _, factory = target.rpartition(":")
    file = Path(path).expanduser().absolute()
    if not file.is_file():
        raise InvalidValueError(
            f"Your own network is given as FILE.py:FACTORY, but '{path}' is not a file; give the "
            "path of the file whose function returns the network."
        )
    return OwnNetwork(factory, str(file), factory, digest_of(file))


def from_object(model: nn.Module, folder: Path) -> OwnNetwork:
    """The network itself, stored in `folder` for its owner's processes only.

    It is pickled with the code of classes that a notebook defines. It is loaded only if someone who
    may write the file hands it over through the environment.

    Raises:
        InvalidValueError: it cannot be pickled.
    """
    import cloudpickle

    try:
        content = cloudpickle.dumps(model)
    except Exception as error:
        raise InvalidValueError(
            f"This {type(model).__name__} cannot be handed to the studio, as it cannot be pickled "
            f"({type(error).__name__}: {error}); write a function that returns it into a file and "
            "run `pruneviz FILE.py:FUNCTION`."
        ) from error
    digest = hashlib.sha256(content).hexdigest()
    path = folder / f"{digest[:DIGITS]}.pickle"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        draft = path.with_suffix(f".{os.getpid()}")
        draft.touch(mode=0o600)
        draft.write_bytes(content)
        draft.replace(path)
    return OwnNetwork(type(model).__name__, str(path), None, digest)


def hand_over(own: OwnNetwork, environment: dict[str, str] | None = None) -> None:
    """Make the network known to this process and those it starts, or in an environment."""
    target = os.environ if environment is None else environment
    target[VARIABLE] = json.dumps(asdict(own))


def given() -> OwnNetwork | None:
    """The network that the owner of this process handed over."""
    text = os.environ.get(VARIABLE)
    return OwnNetwork(**json.loads(text)) if text else None


def listed() -> dict[str, Architecture]:
    """The network of this process by its name; empty if there is none."""
    own = given()
    return {} if own is None else {own.model: OwnArchitecture.of(own)}


def preamble(name: str) -> str:
    """Python that must run before `name` can be loaded elsewhere; empty if none must."""
    own = given()
    return own.handing_over if own is not None and name == own.model else ""


def find(name: str) -> Architecture:
    """The network called `own/NAME`. Raises `InvalidValueError` if it was not handed over."""
    own = given()
    if own is None or name != own.model:
        raise InvalidValueError(
            f"'{name}' is a user's own network, and PruneViz was not started with it; start it "
            "with `pruneviz FILE.py:FACTORY`, or with pv.studio(model, data). In Python, hand it "
            "over first: own.hand_over(own.from_code('FILE.py:FACTORY')), with own from "
            "pruneviz.catalog; for a recipe: pruneviz apply RECIPE --network FILE.py:FACTORY."
        )
    return OwnArchitecture.of(own)


def load(reference: str, network: str) -> nn.Module:
    """The network with the weights `own:REFERENCE`.

    Raises:
        InvalidValueError: nobody handed it over.
        WeightsError: it is another than the one that was meant.
    """
    find(network)
    own = given()
    assert own is not None  # find() has seen it
    if not own.digest.startswith(reference) or not reference:
        raise WeightsError(
            f"'{network}' was {reference or 'nothing'} then and is {own.digest[:DIGITS]} now; "
            "start PruneViz with the original file."
        )
    return own.load()


def plans(reference: str) -> tuple[str, ...]:
    """No plans: PruneViz has not pruned it."""
    return ()


@dataclass(frozen=True)
class OwnArchitecture(Architecture):
    """A network of one's own, as the catalogue lists it."""

    own: OwnNetwork

    @classmethod
    def of(cls, own: OwnNetwork) -> OwnArchitecture:
        """The catalogue's entry for it."""

        def build(num_classes: int | None = None, keys: Collection[str] = ()) -> nn.Module:
            return own.load(num_classes)

        return cls(
            name=own.model,
            family="your own",
            description=f"your own, from {Path(own.path).name}"
            if own.factory
            else "your own, from Python",
            source="your own",
            weights=(own.weights,),
            input_size=0,
            classes=0,
            build=build,
            own=own,
        )

    def parameters(self) -> int:
        """Number of parameters, counted once."""
        return _parameters(self.own)

    def offline(self) -> tuple[str, ...]:
        """The weights that it comes with."""
        return self.weights

    def state(self, weights: str, progress: Progress | None = None) -> dict[str, torch.Tensor]:
        """The weights that it comes with."""
        return self.own.load().state_dict()

    def plain_weights(self, weights: str) -> str:
        """The only name that there is."""
        return weights


def digest_of(path: str | Path) -> str:
    """SHA-256 of a file. Raises `InvalidValueError` if it cannot be read."""
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InvalidValueError(
            f"The file '{path}' cannot be read ({error.strerror}); start PruneViz with one that "
            "can."
        ) from error


@lru_cache(maxsize=4)
def _parameters(own: OwnNetwork) -> int:
    with torch.random.fork_rng(devices=[]):
        return sum(p.numel() for p in own.load().parameters())


def _unpickled(path: str) -> nn.Module:
    import cloudpickle

    with Path(path).open("rb") as file:
        model: nn.Module = cloudpickle.load(file)
    return model
