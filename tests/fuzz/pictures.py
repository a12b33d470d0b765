"""Images, folders and zips: damaged, of odd sizes and modes, with odd names and layouts."""

from __future__ import annotations

import io
import os
import random
import shutil
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from PIL import Image

import pruneviz as pv
from tests.catalog.hostile import makers
from tests.fuzz.trials import Trial

KINDS = {"PNG": "png", "JPEG": "jpg", "GIF": "gif", "TIFF": "tif", "BMP": "bmp", "WEBP": "webp"}
MODES = ("1", "L", "P", "RGB", "RGBA", "LA", "CMYK", "I", "F", "I;16", "YCbCr", "HSV")
NAMES = (
    "a", "b", "train", "val", "test", "Train", "..", ".", "", "x" * 300, "caf\u00e9", "__MACOSX",
    ".hidden", "a b", "con", "\u202e", "<b>", "[x](y)", "C:", "a\\b", "/root", "\n", "valid",
)  # fmt: skip


def image(rng: random.Random) -> bytes:
    """An image file, whole or not, or something else."""
    way = rng.randrange(8)
    if way == 0:
        return rng.randbytes(rng.randrange(300))
    if way == 1:
        size = rng.choice(((30_000, 1), (1, 30_000), (3_000, 3_000), (1, 1), (0, 0), (2**31, 9)))
        rows = size[1] if size[0] * size[1] < 10**8 else 3
        whole = makers.png(size[0] if size[0] < 10**6 else 8, rows, depth=rng.choice((8, 16)))
        head = size[0].to_bytes(4, "big", signed=False) + size[1].to_bytes(4, "big")
        return whole[:16] + head + whole[24:]
    mode, kind = rng.choice(MODES), rng.choice(list(KINDS))
    buffer = io.BytesIO()
    try:
        drawn = Image.new(mode, (rng.randrange(1, 40), rng.randrange(1, 40)))
        drawn.save(buffer, kind, exif=rng.randbytes(20) if way == 2 else b"")
    except Exception:  # a mode that the format does not have
        Image.new("RGB", (9, 9)).save(buffer, "PNG")
    content = bytearray(buffer.getvalue())
    for _ in range(rng.choice((0, 0, 1, 5))):
        content[rng.randrange(len(content))] = rng.randrange(256)
    return bytes(content[: rng.randrange(len(content))] if way == 3 else content)


def content(rng: random.Random) -> dict[str, bytes]:
    """Files of a data set by path, in a usual layout or an odd one."""
    files: dict[str, bytes] = {}
    share = rng.choice((0.02, 0.05, 0.05, 0.5))
    good = makers.png(9, 9)
    for split in rng.choice((("",), ("train/", "val/"), ("train/", "test/"), ("val/",))):
        for name in rng.sample(NAMES, rng.randrange(1, 4)) if rng.random() < 0.4 else ("a", "b"):
            for number in range(rng.choice((1, 25, 60, 60))):
                suffix = rng.choice(list(KINDS.values()))
                files[f"{split}{name}/{number}.{suffix}"] = (
                    image(rng) if rng.random() < share else good
                )
    return files


def folders(rng: random.Random, folder: Path) -> Iterator[Trial]:
    """Folders of files."""
    number = 0
    while True:
        number += 1
        root = folder / str(number % 20)
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir()
        for name, data in content(rng).items():
            path = Path(os.path.normpath(root / name.lstrip("/")))
            if root in path.parents and len(path.name) < 250:
                try:
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(data)
                except OSError:  # no name of a file here
                    continue
        if rng.random() < 0.1:
            (root / "loop").symlink_to(root)
        if rng.random() < 0.1:
            (root / os.fsdecode(b"caf\xe9.png")).write_bytes(b"")
        size = rng.choice((None, 8, 32, 224))
        yield f"{number}, size {size}", partial(pv.load_dataset, "folder", root=root, size=size)


def zips(rng: random.Random, folder: Path) -> Iterator[Trial]:
    """Zips of files, and bytes of zips exchanged."""
    number = 0
    while True:
        number += 1
        path = folder / f"{number % 20}.zip"
        packing = rng.choice((0, 8, 8, 8, 12, 14))
        with zipfile.ZipFile(path, "w", packing) as archive:
            for name, data in content(rng).items():
                info = zipfile.ZipInfo(name)
                info.compress_type = packing
                if rng.random() < 0.01:
                    info.external_attr = 0o120777 << 16
                archive.writestr(info, data)
        if rng.random() < 0.6:
            changed = bytearray(path.read_bytes())
            for _ in range(rng.choice((1, 5, 50))):
                changed[rng.randrange(len(changed))] = rng.randrange(256)
            if rng.random() < 0.2:
                del changed[rng.randrange(len(changed)) :]
            path.write_bytes(changed)
        if rng.random() < 0.003:
            makers.lying_zip(path)
        yield f"{number}", partial(pv.load_dataset, "folder", root=path)
