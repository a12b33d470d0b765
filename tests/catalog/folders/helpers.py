"""What these tests are made of."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

from PIL import Image

from pruneviz.catalog import load_dataset


def png(value: int, size: int = 8) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (size, size), (value, value, value)).save(buffer, "PNG")
    return buffer.getvalue()


def files(*folders: str, count: int = 20, size: int = 8) -> dict[str, bytes]:
    """`count` images in each folder; the grey value is the number of the image."""
    return {f"{f}/{i:03d}.png": png(i % 256, size) for f in folders for i in range(count)}


def write(root: Path, content: dict[str, bytes]) -> Path:
    for name, data in content.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


def zipped(path: Path, content: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return path


def load(root, **options):
    return load_dataset("folder", root=root, **options)


THREE = files("train/ants", "train/bees", "val/ants", "val/bees", "test/ants", "test/bees")
