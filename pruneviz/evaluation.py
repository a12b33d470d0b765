"""The result of `pv.evaluate`. Loads without torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from pruneviz.drawing import Shown, draw

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Evaluation(Shown):
    """Top-1 accuracy (0..1) and mean cross-entropy of a network on ``count`` images.

    ``per_class`` is the accuracy on the images of each class, nan where there are none;
    ``predictions`` the predicted class of each image, int64 of shape (count,).
    """

    accuracy: float
    loss: float
    per_class: tuple[float, ...]
    count: int
    classes: tuple[str, ...]
    predictions: np.ndarray[Any, np.dtype[np.int64]] = field(repr=False)
    measure: str = "top-1"
    """What ``accuracy`` is: top-1, or the metric of a task of one's own."""

    def to_frame(self) -> pd.DataFrame:
        """One row per class: its name and the accuracy on its images."""
        import pandas as pd

        return pd.DataFrame({"class": self.classes, "accuracy": self.per_class})

    def figure(self, *, dark: bool = False, height: int | None = None) -> Any:
        """A bar per class, and the mean with its 95 % interval."""
        return draw(self, dark=dark, height=height)
