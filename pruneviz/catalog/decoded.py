"""Many image files to one uint8 array, decoded once and memory-mapped from then on."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
import time
import warnings
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch

from pruneviz.catalog import cache
from pruneviz.catalog.archives import Entry, Tree
from pruneviz.catalog.downloads import Progress
from pruneviz.catalog.images import Pixels, Scaling, decode
from pruneviz.errors import DataError, StorageError
from pruneviz.machine import cores

VERSION = 2
"""Increase it when the same file would decode to different pixels."""

MAX_BROKEN = 0.1
_BATCH = 64
_WORKERS = min(8, cores())
_WHAT = "Decoding images"
_KEY_LENGTH = 32
_SETTLED_NS = 2 * 10**9
"""File systems' clocks tick in steps of up to two seconds."""


@dataclass(frozen=True, eq=False)
class Decoded:
    """The images that could be decoded, in order, and the positions of those that could not.

    `images` is uint8 of shape (N, 3, size, size), memory-mapped; changes to it are not kept.
    `digest` is a SHA-256 over the pixels.
    """

    images: torch.Tensor
    broken: tuple[int, ...]
    digest: str


def decode_all(
    tree: Tree,
    entries: Sequence[Entry],
    size: int,
    *,
    scaling: Scaling | None = None,
    cache_bytes: int = cache.LIMIT_BYTES,
    progress: Progress | None = None,
) -> Decoded:
    """Decode files to (N, 3, size, size), or map the array decoded before.

    The key is the files' content. Raises `DataError` if fewer than nine in ten can be decoded,
    `StorageError` if there is no room.
    """
    folder = cache.make(cache.cache_dir() / "decoded")
    how = f"{VERSION} {size}{scaling or ''}"
    seen = _seen(folder, tree, entries, how)
    key = _key(seen, tree, entries, how)
    path = folder / f"{key}.npy"
    images = _load(path)
    if images is None:
        cache.make_room(folder, len(entries) * 3 * size * size, cache_bytes)
        try:
            images = _fill(path, tree, entries, size, scaling, progress)
        except OSError as error:
            raise StorageError(
                f"The decoded images cannot be kept in {folder} ({error.strerror or error}); "
                "set PRUNEVIZ_CACHE to a folder with room."
            ) from error
    _refuse_too_many_broken(tree, entries, images.broken)
    _remember(seen, key, tree, entries)
    return images


def _key(seen: Path, tree: Tree, entries: Sequence[Entry], how: str) -> str:
    """A name for the content of files; those that have not changed since `seen` are not read."""
    try:
        key = seen.read_text(encoding="ascii")
        if len(key) == _KEY_LENGTH and key.isalnum():
            return key
    except (OSError, ValueError):
        pass
    sha = hashlib.sha256(f"{how} {tree.digest(entries)}".encode())
    return sha.hexdigest()[:_KEY_LENGTH]


def _seen(folder: Path, tree: Tree, entries: Sequence[Entry], how: str) -> Path:
    """The file that keeps the key of exactly these files as they were last written."""
    sha = hashlib.sha256(f"{how} {tree.stamp}".encode())
    sha.update(repr([tuple(entry) for entry in entries]).encode())
    return folder / f"{sha.hexdigest()[:_KEY_LENGTH]}.seen"


def _remember(seen: Path, key: str, tree: Tree, entries: Sequence[Entry]) -> None:
    """Keep the key, unless a file has just changed: another change might not show yet."""
    newest = max((s[-1] for s in (tree.stamp, *(e.stamp for e in entries)) if s), default=0)
    if time.time_ns() - newest > _SETTLED_NS and not seen.exists():
        with contextlib.suppress(OSError):
            seen.write_text(key, encoding="ascii")


def _load(path: Path) -> Decoded | None:
    try:
        notes = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        images = np.load(path, mmap_mode="c")
        decoded = Decoded(torch.from_numpy(images), tuple(notes["broken"]), notes["digest"])
    except (OSError, EOFError, ValueError, KeyError, TypeError):
        return None  # not there, or cut off: it is decoded again
    cache.touch(path)
    return decoded


def _fill(
    path: Path,
    tree: Tree,
    entries: Sequence[Entry],
    size: int,
    scaling: Scaling | None,
    progress: Progress | None,
) -> Decoded:
    """Decode into a file beside `path`, which takes its place when it is complete."""
    part = path.with_suffix(f".{os.getpid()}-{threading.get_ident()}.part")
    broken: list[int] = []
    sha = hashlib.sha256()
    try:
        with part.open("wb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's, on odd metadata and large images
            _write_header(file, len(entries), size)
            for position, pixels in enumerate(_decoded(tree, entries, size, scaling)):
                if pixels is None:
                    broken.append(position)
                else:
                    content = pixels.tobytes()
                    sha.update(content)
                    file.write(content)
                if progress is not None and (position + 1) % _BATCH == 0:
                    progress(position + 1, len(entries), _WHAT)
            file.seek(0)
            _write_header(file, len(entries) - len(broken), size)
        if len(broken) < len(entries):
            notes = {"broken": broken, "digest": sha.hexdigest()}
            path.with_suffix(".json").write_text(json.dumps(notes), encoding="utf-8")
            part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    if progress is not None:
        progress(len(entries), len(entries), _WHAT)
    if len(broken) == len(entries):
        return Decoded(torch.empty(0, 3, size, size, dtype=torch.uint8), tuple(broken), "")
    images = _load(path)
    if images is None:
        raise OSError(f"{path.name} cannot be read back")
    return images


def _write_header(file: BinaryIO, count: int, size: int) -> None:
    """The header of a `.npy` file of (count, 3, size, size); its length is the same for any count.

    numpy pads it to a multiple of 64 bytes and leaves room for a longer first axis.
    """
    header = {"descr": "|u1", "fortran_order": False, "shape": (count, 3, size, size)}
    np.lib.format.write_array_header_1_0(file, header)


def _decoded(
    tree: Tree, entries: Sequence[Entry], size: int, scaling: Scaling | None
) -> Iterator[Pixels | None]:
    """Each file's pixels in order, None where it is broken; a few batches are decoded ahead."""

    def batch(part: Sequence[Entry]) -> list[Pixels | None]:
        return [_decode(tree, entry, size, scaling) for entry in part]

    ahead: deque[Future[list[Pixels | None]]] = deque()
    with ThreadPoolExecutor(_WORKERS) as pool:
        for start in range(0, len(entries), _BATCH):
            ahead.append(pool.submit(batch, entries[start : start + _BATCH]))
            if len(ahead) > 2 * _WORKERS:
                yield from ahead.popleft().result()
        while ahead:
            yield from ahead.popleft().result()


def _decode(tree: Tree, entry: Entry, size: int, scaling: Scaling | None) -> Pixels | None:
    try:
        return decode(tree.read(entry), size, scaling)
    except Exception:  # Pillow's plugins raise nearly anything on damaged files; they are counted
        return None


def _refuse_too_many_broken(tree: Tree, entries: Sequence[Entry], broken: Sequence[int]) -> None:
    if len(broken) <= MAX_BROKEN * len(entries):
        return
    some = ", ".join(f"'{entries[i].path}'" for i in broken[:3])
    raise DataError(
        f"{len(broken)} of the {len(entries)} images in '{tree.root.name}' cannot be read "
        f"({some}{', ...' if len(broken) > 3 else ''}), more than one in ten; "
        "replace or remove them."
    )
