"""One's own images, kept in a file, for `pv.studio(model, data)`."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from pruneviz.data import DataSet, ImageSet
from pruneviz.errors import DataError

VARIABLE = "PRUNEVIZ_OWN_DATA"
NAME = "own"
SPLITS = ("train", "val", "test")


def keep(data: DataSet, folder: Path) -> Path:
    """Write the images into `folder`, readable only by their owner, and return the file."""
    from safetensors.torch import save_file

    tensors: dict[str, torch.Tensor] = {}
    for name in SPLITS:
        images: ImageSet | None = getattr(data, name)
        if images is not None:
            tensors[f"{name}.images"] = images.images.contiguous()
            tensors[f"{name}.labels"] = images.labels.contiguous()
    about = {
        "classes": data.classes,
        "mean": data.mean,
        "std": data.std,
        "augment": data.augment,
        "notes": data.notes,
        "digest": data.digest,
        "title": data.name,
    }
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / file_name(data.digest)
    if not path.exists():
        draft = path.with_suffix(f".{os.getpid()}")
        draft.touch(mode=0o600)
        save_file(tensors, draft, {"about": json.dumps(about)})
        draft.replace(path)
    return path


def file_name(digest: str) -> str:
    """What `keep` calls the file of the images with this digest."""
    return f"{digest.replace('~', '-')}.safetensors"


def hand_over(path: Path, environment: dict[str, str] | None = None) -> None:
    """Make the file known to this process and those it starts, or in an environment."""
    target = os.environ if environment is None else environment
    target[VARIABLE] = str(path)


def given() -> Path | None:
    """The file that the owner of this process handed over."""
    path = os.environ.get(VARIABLE)
    return Path(path) if path else None


def load(options: Mapping[str, Any]) -> DataSet:
    """The images that were handed over.

    Raises:
        DataError: there are none, or others than the option `digest` names.
    """
    from safetensors import safe_open

    path = given()
    if path is None or not path.is_file():
        raise DataError(
            "PruneViz was not started with these images of your own; start it with "
            "pv.studio(model, data)."
        )
    with safe_open(path, "pt") as file:
        about = json.loads(file.metadata()["about"])
        wanted = options.get("digest", about["digest"])
        if wanted != about["digest"]:
            raise DataError(
                f"These images have the digest {wanted}, but PruneViz was started with images of "
                f"digest {about['digest']}; start it with pv.studio(model, data) and the original "
                "ones."
            )
        names = set(file.keys())
        sets = {
            name: ImageSet(file.get_tensor(f"{name}.images"), file.get_tensor(f"{name}.labels"))
            for name in SPLITS
            if f"{name}.images" in names
        }
    return DataSet(
        name=NAME,
        train=sets["train"],
        val=sets["val"],
        test=sets.get("test"),
        classes=tuple(about["classes"]),
        input_shape=tuple(sets["train"].images.shape[1:]),  # type: ignore[arg-type]
        source={"name": NAME, "options": {"digest": about["digest"]}},
        digest=about["digest"],
        augment=about["augment"],
        notes=tuple(about["notes"]),
        mean=tuple(about["mean"]),
        std=tuple(about["std"]),
    )
