"""A tree of files in a folder or a zip, listed and read alike; harmful zips are refused.

Nothing is ever unpacked to disk: an image is read from the zip when it is decoded.
"""

from __future__ import annotations

import hashlib
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from pruneviz.errors import DataError, shown
from pruneviz.machine import cores

MAX_FILES = 2_000_000
MAX_FILE_BYTES = 256 * 2**20
MAX_TOTAL_BYTES = 256 * 2**30
MAX_INFLATION = 100
INFLATION_FREE_BYTES = 64 * 2**20
"""Below this size, any compression ratio is allowed (white bitmaps shrink a lot)."""

_READABLE = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
"""With other methods, zipfile unpacks a member whole, whatever length is listed."""

_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError)


Parts = tuple[str, ...]
"""A path below the root as its parts; () is the root itself."""


class Entry(NamedTuple):
    """One file: its path below the root, its size in bytes, and a stamp that changes with its
    content.
    """

    parts: Parts
    size: int
    stamp: tuple[int, ...] = ()

    @property
    def path(self) -> str:
        """The path with slashes."""
        return "/".join(self.parts)


class FolderTree:
    """The files below a folder; links are followed, except those that lead back in a circle."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.stamp: tuple[int, ...] = ()
        entries: list[Entry] = []
        folders: list[Parts] = []
        for folder, names in _walk(root):
            below = folder.relative_to(root).parts
            folders.append(below)
            _refuse_odd_names(root, (*below[-1:], *names))
            for name in names:
                if len(entries) >= MAX_FILES:
                    raise DataError(
                        f"'{root}' holds more than {MAX_FILES:,} files; give the folder of one "
                        "data set."
                    )
                try:
                    info = os.stat(os.path.join(folder, name))  # noqa: PTH116, PTH118 - quick
                except OSError:  # a link to nowhere
                    continue
                if stat.S_ISREG(info.st_mode):
                    entries.append(Entry((*below, name), info.st_size, stamp_of(info)))
        self.entries = tuple(sorted(entries))
        self.folders = tuple(folders)

    def read(self, entry: Entry) -> bytes:
        """The bytes of a file. Raises `DataError` where it cannot be read."""
        try:
            if entry.size > MAX_FILE_BYTES:
                raise OSError(f"it has {entry.size:,} bytes, more than {MAX_FILE_BYTES:,}")
            return self.root.joinpath(*entry.parts).read_bytes()
        except (OSError, ValueError) as error:
            raise _unreadable(self.root, entry, error) from error

    def digest(self, entries: Sequence[Entry]) -> str:
        """SHA-256 over the paths and contents of files, including those that cannot be read."""
        sha = hashlib.sha256()
        with ThreadPoolExecutor(min(8, cores())) as pool:
            for entry, content in zip(entries, pool.map(self._digest, entries), strict=True):
                sha.update(f"{entry.parts!r} {entry.size} {content}\n".encode())
        return sha.hexdigest()

    def _digest(self, entry: Entry) -> str:
        try:
            with self.root.joinpath(*entry.parts).open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            return type(error).__name__

    def __enter__(self) -> FolderTree:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None


class ZipTree:
    """The files in a zip. Raises `DataError` if it is not a zip, or could do harm."""

    def __init__(self, root: Path) -> None:
        self.root = root
        try:
            self.stamp = stamp_of(root.stat())
            self._zip = zipfile.ZipFile(root)
        except (*_DAMAGED, struct.error) as error:
            raise DataError(
                f"'{root.name}' is not a complete zip file; zip the folder again, or give the "
                "folder itself."
            ) from error
        members = self._zip.infolist()
        try:
            _refuse_harm(root, members)
        except DataError:
            self._zip.close()
            raise
        paths = [tuple(p for p in m.filename.split("/") if p not in ("", ".")) for m in members]
        self._members = dict(zip(paths, members, strict=True))
        self.entries = tuple(
            sorted(
                Entry(parts, member.file_size)
                for parts, member in self._members.items()
                if not member.is_dir()
            )
        )
        self.folders = tuple(
            sorted({p if m.is_dir() else p[:-1] for p, m in self._members.items()})
        )

    def read(self, entry: Entry) -> bytes:
        """The bytes of a file, never more than the listing says; their checksum is compared.

        Raises `DataError` where they cannot be unpacked.
        """
        try:
            with self._zip.open(self._members[entry.parts]) as file:
                # With the length, or zipfile unpacks it all before it looks at the listing.
                return file.read(entry.size)
        except _DAMAGED as error:
            raise _unreadable(self.root, entry, error) from error

    def digest(self, entries: Sequence[Entry]) -> str:
        """SHA-256 over the paths of files and over the archive that they are in."""
        with self.root.open("rb") as file:
            sha = hashlib.file_digest(file, "sha256")
        sha.update(repr([entry.parts for entry in entries]).encode())
        return sha.hexdigest()

    def __enter__(self) -> ZipTree:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._zip.close()


Tree = FolderTree | ZipTree


def open_tree(root: str | os.PathLike[str]) -> Tree:
    """The files in a folder or zip, as a context manager. Raises `DataError` for anything else."""
    try:
        path = Path(root).expanduser().absolute()
        if path.is_dir():
            return FolderTree(path)
        if path.is_file():
            return ZipTree(path)
    except (OSError, RuntimeError) as error:  # a name too long, no permission, no such home
        raise DataError(
            f"The folder or zip {shown(os.fspath(root))} cannot be opened ({error}); give the "
            "path of one that can be read."
        ) from error
    raise DataError(f"There is no folder or zip '{path}'; give the path of one that holds images.")


def _walk(root: Path) -> Iterator[tuple[Path, list[str]]]:
    """Folders and the names of their files, without hidden ones and circular links."""
    seen: set[Path] = set()
    for here, folders, names in os.walk(root, followlinks=True):
        real = Path(here).resolve()
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not is_hidden(name))
        yield Path(here), sorted(name for name in names if not is_hidden(name))


def stamp_of(info: os.stat_result) -> tuple[int, ...]:
    """What distinguishes a file from any other, and from itself after a change, without reading it.

    The inode's change time cannot be set back, unlike the modification time.
    """
    return info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns


def _refuse_odd_names(root: Path, names: Sequence[str]) -> None:
    for name in names:
        try:
            name.encode()
        except UnicodeEncodeError:
            raise DataError(
                f"'{root.name}' holds the name '{os.fsencode(name).decode(errors='replace')}', "
                "which is not UTF-8; rename it."
            ) from None


def _unreadable(root: Path, entry: Entry, error: BaseException) -> DataError:
    why = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return DataError(
        f"'{entry.path}' in '{root.name}' cannot be read ({why}); replace or remove it."
    )


def is_hidden(name: str) -> bool:
    """Whether an operating system added the file by itself (.DS_Store, __MACOSX)."""
    return name.startswith(".") or name == "__MACOSX"


def _refuse_harm(root: Path, members: list[zipfile.ZipInfo]) -> None:
    name = root.name
    if len(members) > MAX_FILES:
        raise DataError(
            f"'{name}' lists {len(members):,} files, more than the {MAX_FILES:,} that PruneViz "
            "reads; give a smaller set."
        )
    total = 0
    seen: set[str] = set()
    for member in members:
        path = member.filename
        if any(len(part) > 255 for part in path.split("/")) or len(path) > 4_096:
            raise DataError(
                f"'{name}' holds a path of {len(path):,} characters ({shown(path)}), longer than "
                "file systems have them; zip the folder again with shorter names."
            )
        if _leaves(path):
            raise DataError(
                f"'{name}' holds the path '{path}', which leads out of the archive; zip the "
                "folder again with paths below it."
            )
        if stat.S_ISLNK(member.external_attr >> 16):
            raise DataError(
                f"'{name}' holds the link '{path}'; zip the files themselves instead of links."
            )
        if member.flag_bits & 0x1:
            raise DataError(f"'{name}' is encrypted ('{path}'); zip it without a password.")
        if member.compress_type not in _READABLE:
            raise DataError(
                f"'{name}' is compressed in a way that cannot be read here ('{path}'); zip it "
                "again as an ordinary zip."
            )
        if path in seen:
            raise DataError(f"'{name}' holds the path '{path}' twice; zip the folder again.")
        seen.add(path)
        if member.file_size > MAX_FILE_BYTES:
            raise DataError(
                f"'{name}' holds '{path}' of {member.file_size:,} bytes, more than the "
                f"{MAX_FILE_BYTES:,} that an image may have; leave it out."
            )
        total += member.file_size
    inflation = total / max(1, root.stat().st_size)
    if total > MAX_TOTAL_BYTES or (total > INFLATION_FREE_BYTES and inflation > MAX_INFLATION):
        raise DataError(
            f"'{name}' would unpack to {total:,} bytes, {inflation:,.0f} times its size; PruneViz "
            f"reads up to {MAX_INFLATION} times and {MAX_TOTAL_BYTES:,} bytes. Give a smaller set."
        )


def _leaves(path: str) -> bool:
    """Whether a path in an archive leads outside it: absolute, climbing, or so on Windows only."""
    return (
        path.startswith(("/", "\\"))
        or "\\" in path
        or path[1:2] == ":"
        or (".." in path and ".." in path.split("/"))
        or "\0" in path
    )
