"""The artifact store: files by the digest of their content, in a folder or a bucket.

Each file is written once, whole, under its SHA-256, and never changed; the records say which run
has which file under which name. Files that no run has any more go when the store is tidied up.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import mmap
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from pruneviz.errors import (
    InvalidValueError,
    MissingExtraError,
    StorageError,
    StorageFullError,
    StorageGoneError,
    StorageUnreachableError,
)
from pruneviz.jobs.files import atomic_write
from pruneviz.jobs.home import full_sentence

VARIABLE = "PRUNEVIZ_STORE"
EXAMPLES = "file:///shared/pruneviz or s3://bucket/pruneviz"
LIBRARIES = {"file": ("fsspec", "cluster"), "s3": ("s3fs", "cluster"), "gs": ("gcsfs", "gcs")}
"""By kind of address: the library for it, and the extra that brings it."""
REFUSED = (
    *("AccessDenied", "Forbidden", "InvalidAccessKeyId", "SignatureDoesNot", "credentials"),
    *("Invalid Credentials", "RefreshError"),  # Google's
)


@dataclass(frozen=True)
class Blob:
    """A file in the store."""

    digest: str
    size: int
    """Bytes."""
    modified: float
    """Seconds since 1970 (UTC), by the store's clock."""


def digest_of(content: bytes | memoryview) -> str:
    """Return the digest under which the store keeps a file's content."""
    return hashlib.sha256(content).hexdigest()


def resolve_store(option: str | None = None) -> str | None:
    """Return the store's address: `option`, else `$PRUNEVIZ_STORE`; None: there is none.

    Raises:
        InvalidValueError: an address of a kind that is not served, or with credentials in it.
    """
    address = option or os.environ.get(VARIABLE) or None
    if address is None:
        return None
    parts = urlsplit(address)
    if parts.scheme not in LIBRARIES or not (parts.netloc + parts.path).strip("/"):
        raise InvalidValueError(
            f"A store of files is at an address such as {EXAMPLES}; got one that begins with "
            f"'{parts.scheme or address[:20]}:'."
        )
    if "@" in parts.netloc or parts.query:
        raise InvalidValueError(
            "A store's address must not contain keys; pass them the way the store's own tools "
            "read them (for S3, $AWS_ACCESS_KEY_ID, $AWS_SECRET_ACCESS_KEY, $AWS_ENDPOINT_URL)."
        )
    return address.rstrip("/")


class ArtifactStore:
    """Files by digest, at an address that fsspec knows.

    Raises:
        MissingExtraError: the library for such addresses is not installed.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        kind = urlsplit(address).scheme
        if kind == "gs":  # it prints a traceback for what becomes a sentence here
            logging.getLogger("gcsfs").setLevel(logging.CRITICAL)
        try:
            from fsspec.core import url_to_fs

            options = {} if kind == "file" else {"use_listings_cache": False}
            self._files: Any
            self._files, self._root = url_to_fs(address, **options)
        except ImportError as error:
            what = f"A store at an address with {kind}://"
            raise MissingExtraError(what, *LIBRARIES[kind]) from error
        self._local = kind == "file"

    def put(self, content: bytes | memoryview) -> str:
        """Write a file, unless it is there, and return its digest.

        Raises:
            StorageError: the store refuses, or does not answer.
        """
        digest = digest_of(content)
        if not self.has(digest):
            with self._errors():
                self._write(self._path(digest), content)
        return digest

    def put_file(self, path: Path) -> str:
        """Write a copy of a file, of any size, unless it is there, and return its digest.

        Raises:
            StorageError: the store refuses, or does not answer.
            OSError: the file cannot be read.
        """
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if not self.has(digest):
            with self._errors():
                if self._local:
                    with path.open("rb") as file, _mapped(file) as content:
                        self._write(self._path(digest), content)
                else:
                    self._files.put_file(str(path), self._path(digest))
        return digest

    def fetch(self, digest: str, path: Path) -> None:
        """Copy a file of the store, of any size, to `path`, whole or not at all.

        Raises:
            StorageError: it is not there, damaged, or the store does not answer.
        """
        draft = path.with_name(f".{uuid.uuid4().hex}.tmp")
        try:
            with self._errors():
                try:
                    self._files.get_file(self._path(digest), str(draft))
                except FileNotFoundError:
                    raise StorageError(self._missing(digest)) from None
                except OSError as error:
                    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                        raise
                    raise StorageFullError(full_sentence(path)) from error
            with draft.open("rb") as file:
                copied = hashlib.file_digest(file, "sha256").hexdigest()
            if copied != digest:
                raise StorageError(self._damaged(digest))
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)

    def has(self, digest: str) -> bool:
        """Tell whether a file is there."""
        with self._errors():
            return bool(self._files.exists(self._path(digest)))

    def get(self, digest: str) -> bytes:
        """Return a file's content.

        Raises:
            StorageError: it is not there, damaged, or the store does not answer.
        """
        with self._errors():
            try:
                content: bytes = self._files.cat_file(self._path(digest))
            except FileNotFoundError:
                raise StorageError(self._missing(digest)) from None
        if digest_of(content) != digest:
            raise StorageError(self._damaged(digest))
        return content

    def blobs(self) -> Iterator[Blob]:
        """Yield the files in the store."""
        with self._errors():
            try:
                files = self._files.find(f"{self._root}/blobs", detail=True)
            except FileNotFoundError:
                return
        for path, about in files.items():
            name = path.rsplit("/", 1)[-1]
            if len(name) == 64:
                yield Blob(name, int(about["size"]), _time(about))

    def remove(self, digest: str) -> None:
        """Delete a file, if it is there."""
        with self._errors():
            if self._files.exists(self._path(digest)):
                self._files.rm_file(self._path(digest))

    def probe(self) -> None:
        """See whether the store can be written and read.

        Raises:
            StorageError: it cannot; the sentence says why.
        """
        path = f"{self._root}/probes/{uuid.uuid4().hex}"
        with self._errors():
            self._write(path, b"pruneviz")
            self._files.rm_file(path)

    def _missing(self, digest: str) -> str:
        return (
            f"The store at {self.address} has no file {digest[:12]} any more; it was "
            "deleted there. Restore it from a copy, or repeat the run."
        )

    def _damaged(self, digest: str) -> str:
        return (
            f"The file {digest[:12]} in the store at {self.address} is damaged. Delete it "
            "there and restore it from a copy, or repeat the run."
        )

    def _path(self, digest: str) -> str:
        return f"{self._root}/blobs/{digest[:2]}/{digest}"

    def _write(self, path: str, content: bytes | memoryview) -> None:
        if not self._local:  # an object is there whole or not at all
            self._files.pipe_file(path, bytes(content))
            return
        try:
            atomic_write(Path(path), content)
        except StorageFullError as error:
            raise StorageFullError(
                f"The disk of the store at {self.address} is full. Free some space there; runs "
                "wait until then."
            ) from error
        except StorageGoneError as error:
            raise OSError(str(error)) from error
        except StorageError as error:
            raise StorageError(
                f"The store at {self.address} cannot be written. Create the folder, and make it "
                "writable for everyone who uses it, or correct --store."
            ) from error

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Turn what any store's library raises into a sentence."""
        try:
            yield
        except StorageError:
            raise
        except Exception as error:
            text = f"{type(error).__name__}: {error}"
            if isinstance(error, PermissionError) or any(word in text for word in REFUSED):
                raise StorageError(
                    f"The store at {self.address} refuses access ({type(error).__name__}). Check "
                    "the credentials in the environment, and their permissions."
                ) from error
            if isinstance(error, FileNotFoundError):
                raise StorageError(
                    f"There is no store at {self.address}; create the bucket or folder, or "
                    "correct --store."
                ) from error
            raise StorageUnreachableError(
                f"The store at {self.address} cannot be reached ({type(error).__name__}). Start "
                "it, or correct --store; runs wait until it answers."
            ) from error


@contextmanager
def _mapped(file: IO[bytes]) -> Iterator[memoryview]:
    """A file's content, read as it is needed."""
    if os.fstat(file.fileno()).st_size == 0:
        yield memoryview(b"")
        return
    with (
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped,
        memoryview(mapped) as content,
    ):
        yield content


def _time(about: dict[str, Any]) -> float:
    when = about.get("mtime", about.get("LastModified", about.get("updated")))
    if isinstance(when, int | float):
        return float(when)
    stamp = getattr(when, "timestamp", None)
    return float(stamp()) if stamp is not None else time.time()
