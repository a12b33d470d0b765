"""Images that the network gets wrong when a run begins, and what it takes them for later."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from pruneviz.jobs.context import JobContext

if TYPE_CHECKING:
    from pruneviz.data import DataSet
    from pruneviz.training import Evaluation

RESULT = "healing"
MOST = 24
"""Images that are followed: as many as a person looks at."""


def begin(context: JobContext, before: Evaluation | None, data: DataSet) -> None:
    """Choose images from all over the validation set; a resumed run keeps those it chose."""
    if before is None or before.measure != "top-1" or RESULT in context.results:
        return
    labels = data.val.labels.numpy()
    wrong = np.flatnonzero(before.predictions != labels)
    followed = wrong[np.linspace(0, len(wrong) - 1, min(MOST, len(wrong))).astype(int)]
    context.keep(
        RESULT,
        {
            "of": len(wrong),
            "images": followed.tolist(),
            "truth": labels[followed].tolist(),
            "taken_for": [before.predictions[followed].tolist()],
        },
    )


def following(context: JobContext) -> Callable[[Any], None]:
    """Return a callback for every event; after an epoch, it notes what the images are taken for."""

    def look(event: Any) -> None:
        predictions, kept = getattr(event, "predictions", None), context.results.get(RESULT)
        if predictions is None or not kept:
            return
        # A run that was interrupted may repeat an epoch.
        taken = kept["taken_for"][: int(event.epoch)]
        latest = np.asarray(predictions)[kept["images"]].tolist()
        context.keep(RESULT, {**kept, "taken_for": [*taken, latest]})

    return look
