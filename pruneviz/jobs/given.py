"""What a run needs of its owner's machine: weights files and images, carried by the artifact store.

A run names them by path. Where runs are done on other machines, the files are put into the store
when the run is submitted, under the digest of their content, and the records list them beside the
run's own files. A worker fetches what it does not have yet, compares the digest, and loads from its
copy. A folder of images travels as one zip of its files, in their order and without their dates, so
that the same images have the same digest. Of a folder that transformers wrote, its JSON and
safetensors travel, each by its own digest; nothing else in it is ever read.

Code does not travel: see `check_travels`.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import time
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from pruneviz.errors import InvalidValueError
from pruneviz.jobs.mirror import GIVEN, Kept
from pruneviz.jobs.views import RunSpec

if TYPE_CHECKING:
    from pruneviz.jobs.artifacts import ArtifactStore
    from pruneviz.jobs.run_files import RunFiles

OWN_IMAGES = "data.own"
PLACES: Mapping[str, tuple[str, ...]] = {
    "model.weights": ("model", "weights"),
    "data.root": ("data", "options", "root"),
    "options.weights": ("options", "weights"),
    "options.root": ("options", "root"),
}
"""Where in a specification a path may be."""
NETWORKS: Mapping[str, tuple[str, ...]] = {
    "model.name": ("model", "name"),
    "options.network": ("options", "network"),
}
"""Where the name of a network may be, which may be a folder's: `hf/FOLDER`."""
HF = "hf/"  # as pruneviz.catalog.hf_models has it, without torch
HF_FILES = (".json", ".safetensors")
KEEP_BYTES = 20 * 2**30
"""What a worker keeps of such files; the longest unused go first."""
IN_USE_SECONDS = 24 * 3600.0
"""Since its last use a file may still be read by a run."""


class Giver:
    """Puts what runs need into the store; remembers what is there, so a study packs once."""

    def __init__(self, files: RunFiles, home: Path) -> None:
        self._files = files
        self._home = home
        self._sent: dict[tuple[object, ...], Kept] = {}

    def send(self, spec: RunSpec) -> dict[str, Kept]:
        """Put the files that `spec` names into the store; by the names the records give them.

        Raises:
            InvalidValueError: one of them cannot be read.
            StorageError: the store refuses or does not answer.
        """
        store = self._files.artifacts
        if store is None:
            return {}
        return {
            f"{GIVEN}{place}/{name}": self._put(path, store)
            for place, given in paths_of(spec).items()
            for name, path in _files(place, given).items()
        }

    def _put(self, path: Path, store: ArtifactStore) -> Kept:
        try:
            stamp = _stamp(path)
            known = self._sent.get(stamp)
            if known is not None and store.has(known.digest):
                return known
            if path.is_dir():
                with tempfile.TemporaryDirectory(dir=self._home) as folder:
                    packed = pack(path, Path(folder) / "images.zip")
                    kept = Kept(store.put_file(packed), packed.stat().st_size)
            else:
                kept = Kept(store.put_file(path), path.stat().st_size)
        except FileNotFoundError as error:
            raise _gone(path) from error
        self._sent[stamp] = kept
        return kept


def paths_of(spec: RunSpec) -> dict[str, Path]:
    """Return the files and folders of this machine that a run needs, by their place."""
    values = {"model": spec.model, "data": spec.data, "options": spec.options}
    paths = {}
    for place, keys in PLACES.items():
        value: Any = values
        for key in keys:
            value = value.get(key) if isinstance(value, Mapping) else None
        if isinstance(value, str) and (keys[-1] == "root" or _is_file(value)):
            paths[place] = Path(value).expanduser().absolute()
    for place, (field, key) in NETWORKS.items():
        folder = folder_of(values[field].get(key))
        if folder is not None:
            paths[place] = folder
    if spec.data.get("name") == "own":
        from pruneviz.catalog import own_data

        own = own_data.given()
        if own is not None:
            paths[OWN_IMAGES] = own
    return paths


def folder_of(network: object) -> Path | None:
    """Return the folder that a network's name names, wherever it should be; None: it names none.

    A relative path is a folder's only if it is there: else it is a name on the hub.
    """
    if not isinstance(network, str) or not network.startswith(HF):
        return None
    try:
        folder = Path(network.removeprefix(HF)).expanduser()
        return folder.resolve() if folder.is_absolute() or folder.is_dir() else None
    except (OSError, RuntimeError, ValueError):
        return None


def at_hand(files: RunFiles, home: Path, run_id: str, spec: RunSpec) -> RunSpec:
    """Return the specification as it can be loaded here: with copies where a path leads nowhere."""
    here = all(path.exists() for path in paths_of(spec).values()) and _has_images(spec)
    return spec if here else bring(files, home, run_id, spec)


def _has_images(spec: RunSpec) -> bool:
    """Whether this process was given the images of one's own that a run names, if it names any."""
    from pruneviz.catalog import own_data

    if spec.data.get("name") != own_data.NAME:
        return True
    given, digest = own_data.given(), (spec.data.get("options") or {}).get("digest")
    if given is None or not given.exists():
        return False
    return digest is None or given.name == own_data.file_name(str(digest))


def bring(files: RunFiles, home: Path, run_id: str, spec: RunSpec) -> RunSpec:
    """Fetch what a run was given, and return its specification with the paths of the copies.

    Raises:
        StorageError: the store does not answer, or a file there is gone or damaged.
    """
    if files.artifacts is None:
        return spec
    folders: dict[str, dict[str, Kept]] = {}
    for name, kept in files.given(run_id).items():
        place, _, called = name.removeprefix(GIVEN).partition("/")
        if place in NETWORKS:
            folders.setdefault(place, {})[called] = kept
            continue
        path = _fetch(files.artifacts, home / "given", kept.digest, called)
        if place == OWN_IMAGES:
            from pruneviz.catalog import own_data

            own_data.hand_over(path)
        elif place in PLACES:
            spec = _with(spec, PLACES[place], str(path))
    for place, wanted in folders.items():
        path = _fetch_folder(files.artifacts, home / "given", wanted)
        spec = _with(spec, NETWORKS[place], f"{HF}{path.resolve()}")
    return spec


def called_alike(one: object, other: object) -> bool:
    """Tell whether two names of networks are the same, or lead to the same folder."""
    folder = folder_of(one)
    return one == other or (folder is not None and folder == folder_of(other))


def pack(folder: Path, into: Path) -> Path:
    """Write the images of a folder as a zip that depends on nothing but paths and contents."""
    from pruneviz.catalog.archives import open_tree

    with open_tree(folder) as tree, zipfile.ZipFile(into, "w", zipfile.ZIP_STORED) as packed:
        for entry in tree.entries:
            packed.writestr(zipfile.ZipInfo(entry.path), tree.read(entry))
    return into


def _files(place: str, given: Path) -> dict[str, Path]:
    """Return what goes into the store for a file or folder, by the names that the records give."""
    if place not in NETWORKS:
        return {given.name: given}
    try:
        there = sorted(path for path in given.iterdir() if path.suffix in HF_FILES)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise _gone(given) from error
    called = given.name or "network"
    files = {f"{called}/{path.name}": path for path in there if path.is_file()}
    if f"{called}/config.json" not in files:
        raise InvalidValueError(
            f"'{given}' has no config.json; give the folder that save_pretrained wrote."
        )
    return files


def _gone(path: Path) -> InvalidValueError:
    return InvalidValueError(
        f"There is no '{path}' any more, which the run needs; give one that is there."
    )


def _fetch(store: ArtifactStore, folder: Path, digest: str, called: str) -> Path:
    path = folder / digest / _base(called)
    _fetch_to(path, store, folder, digest, digest)
    os.utime(path.parent)
    return path


def _fetch_folder(store: ArtifactStore, folder: Path, wanted: Mapping[str, Kept]) -> Path:
    """Fetch the files of a folder, which is kept under the digest of their names and digests."""
    listed = repr(sorted((name, kept.digest) for name, kept in wanted.items()))
    digest = hashlib.sha256(listed.encode()).hexdigest()
    for name, kept in wanted.items():
        called, _, file = name.partition("/")
        path = folder / digest / _base(called) / _base(file)
        _fetch_to(path, store, folder, digest, kept.digest)
    os.utime(folder / digest)
    return path.parent


def _base(called: str) -> str:
    name = PurePosixPath(called).name
    return name if name.strip(".") else "file"


def _fetch_to(path: Path, store: ArtifactStore, folder: Path, kept: str, digest: str) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.is_file() or _digest(path) != digest:
        _make_room(folder, kept)
        store.fetch(digest, path)


def _make_room(folder: Path, wanted: str) -> None:
    """Delete the copies that were not used for longest, while there are too many bytes of them."""
    from pruneviz.jobs.files import size_of

    copies = {path: size_of(path) for path in folder.iterdir() if path.name != wanted}
    total, now = sum(copies.values()), time.time()
    for path in sorted(copies, key=lambda one: one.stat().st_mtime):
        if total <= KEEP_BYTES or now - path.stat().st_mtime < IN_USE_SECONDS:
            return
        with suppress(OSError):
            shutil.rmtree(path)
        total -= copies[path]


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _stamp(path: Path) -> tuple[object, ...]:
    """What changes with the content, without reading it."""
    from pruneviz.catalog.archives import open_tree, stamp_of

    if not path.is_dir():
        return str(path), *stamp_of(path.stat())
    with open_tree(path) as tree:
        listed = hashlib.sha256(repr(tree.entries).encode()).hexdigest()
    return str(path), listed


def _is_file(weights: str) -> bool:
    """Whether weights are a file, not a name such as "imagenet" or a run's, `run:3f2a`."""
    try:
        path = Path(weights).expanduser()
        if len(path.parts) == 1 and not (path.suffix and path.is_file()):
            return False
    except (OSError, RuntimeError, ValueError):
        return False
    from pruneviz.catalog.elsewhere import is_elsewhere

    return not is_elsewhere(weights)


def _with(spec: RunSpec, keys: tuple[str, ...], value: str) -> RunSpec:
    field, *inner = keys

    def put(values: Mapping[str, Any], keys: list[str]) -> dict[str, Any]:
        first, *rest = keys
        return {**values, first: put(values.get(first, {}), rest) if rest else value}

    changed: dict[str, Any] = {field: put(getattr(spec, field), inner)}
    return replace(spec, **changed)
