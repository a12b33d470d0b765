"""Measuring a network and fine-tuning it: pure numbers out, events while it runs.

Everything random in a training step is drawn from generators seeded by (seed, epoch, step), so a
run that was interrupted and resumed ends with exactly the same weights, and the caller's own random
state is never changed.
"""

from __future__ import annotations

from pruneviz.evaluation import Evaluation
from pruneviz.training.evaluation import evaluate
from pruneviz.training.events import BatchEvent, EpochEvent
from pruneviz.training.loop import default_device, fine_tune
from pruneviz.training.recalibration import recalibrate
from pruneviz.training.recipe import settings_for
from pruneviz.training.settings import OPTIMIZERS, SCHEDULES, Settings, learning_rate
from pruneviz.training.task import Task, mean_iou
from pruneviz.training.verdict import chance, verdict

__all__ = [
    "OPTIMIZERS",
    "SCHEDULES",
    "BatchEvent",
    "EpochEvent",
    "Evaluation",
    "Settings",
    "Task",
    "chance",
    "default_device",
    "evaluate",
    "fine_tune",
    "learning_rate",
    "mean_iou",
    "recalibrate",
    "settings_for",
    "verdict",
]
