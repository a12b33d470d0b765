"""How images are prepared for pretrained weights: scaled, cropped, normalised."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pruneviz.catalog.images import Scaling
from pruneviz.data import MEAN, STD
from pruneviz.errors import InvalidValueError

INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "lanczos")


@dataclass(frozen=True)
class Preprocessing:
    """What the weights' authors did with an image at test time.

    The shorter side is scaled to `resize` pixels, the centre `size` × `size` cropped, and each
    channel x (0..1) becomes (x - mean) / std.
    """

    size: int = 224
    resize: int = 256
    interpolation: str = "bilinear"
    mean: tuple[float, ...] = MEAN
    std: tuple[float, ...] = STD

    def __post_init__(self) -> None:
        object.__setattr__(self, "mean", tuple(float(v) for v in self.mean))
        object.__setattr__(self, "std", tuple(float(v) for v in self.std))

    @property
    def scaling(self) -> Scaling:
        """The part that is done before normalisation."""
        return Scaling(self.resize, self.interpolation)

    def to_json(self) -> str:
        """Return it as text, which a data set's options can hold."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def of(cls, data: Preprocessing | Mapping[str, Any] | str) -> Preprocessing:
        """Build it from values by name, or from the text that `to_json` wrote.

        Raises `InvalidValueError` for anything else.
        """
        if isinstance(data, Preprocessing):
            return data
        try:
            preprocessing = cls(**(json.loads(data) if isinstance(data, str) else data))
            right = (
                8 <= int(preprocessing.size) <= int(preprocessing.resize) <= 2048
                and preprocessing.interpolation in INTERPOLATIONS
                and len(preprocessing.mean) == len(preprocessing.std) == 3
                and min(preprocessing.std) > 0
            )
        except (TypeError, ValueError):
            right = False
        if not right:
            raise InvalidValueError(
                "Preprocessing has 'size' and 'resize' in pixels (resize not below size), "
                f"'interpolation' (one of {', '.join(INTERPOLATIONS)}), 'mean' and 'std' of three "
                f"values, but got {data!r}."
            )
        return preprocessing
