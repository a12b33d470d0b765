"""`pv.export`: a network as files that run without PruneViz, each tried before it is offered."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pruneviz.errors import (
    ExportError,
    InvalidValueError,
    StorageError,
    UnknownNameError,
)
from pruneviz.export.check_files import BLOCKED
from pruneviz.export.result import Check, Exported

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.export import ExportedProgram

    from pruneviz.data import DataSet
    from pruneviz.export.program import Logits

SUFFIXES: Mapping[str, str] = {
    "safetensors": ".safetensors",
    "onnx": ".onnx",
    "onnx-int8": ".int8.onnx",
    "pt2": ".pt2",
    "python": ".py",
    "config": "-config",
}
FORMATS = tuple(SUFFIXES)
TOLERANCE = 1e-4
"""Largest difference of an output that a file may show, as a fraction of the largest output."""
COMPARED = 256
"""Images of a data set that the files are compared on."""
CALIBRATION = 128


def export(
    network: nn.Module,
    path: Path | str,
    *,
    input_shape: Sequence[int],
    formats: Sequence[str] = ("safetensors", "onnx", "pt2", "python"),
    data: DataSet | None = None,
    name: str = "network",
    title: str = "",
    progress: Callable[[str], None] | None = None,
) -> Exported:
    """Write a network into a folder, in several formats that run without PruneViz.

    "safetensors" holds the weights; "onnx" (opset 20, extra `export`) and "onnx-int8" run in ONNX
    Runtime and others; "pt2" is a `torch.export` program; "python" is one file of readable
    `nn.Module` code with a `load()` that needs only torch, and its weights beside it; "config" is
    a folder with the config and weights of timm or transformers, for plans whose widths it can
    express.

    Every file is loaded in a fresh process that cannot import PruneViz, torchvision or timm (for
    "config" PruneViz alone), and its outputs are compared with the network's (relative to the
    largest, at most 1e-4; int8 is measured, not compared) before any is put into the folder.

    Args:
        network: Pruned or not; it is not changed.
        path: The folder; it is created if missing.
        input_shape: (C, H, W) of one image.
        formats: Any of "safetensors", "onnx", "onnx-int8", "pt2", "python", "config".
        data: Images to compare on and calibrate with: of its test split where there is one, else
            of `val`. Without it, eight images of noise.
        name: The files' stem.
        title: First line of the Python file.
        progress: Told what is being done.

    Returns:
        A mapping from format to path; `.checks` and `.to_frame()` have the check of each file.

    Raises:
        UnknownNameError: A format that is not among those.
        MissingExtraError: ONNX without the extra.
        ExportError: An operation that a format cannot represent, widths that a config cannot, or a
            file whose outputs differ from the network's; the message names it.
        StorageError: The folder cannot be written.

    Example:
        >>> import tempfile
        >>> folder = tempfile.mkdtemp()
        >>> files = pv.export(model, folder, input_shape=data.input_shape, formats="python")
        >>> files["python"].name
        'network.py'
    """
    import torch

    from pruneviz.export import program

    wanted = [formats] if isinstance(formats, str) else list(dict.fromkeys(formats))
    for format in wanted:
        if format not in SUFFIXES:
            raise UnknownNameError("format", format, FORMATS)
    if not name or Path(name).name != name:
        raise InvalidValueError(f"A file's stem is a plain name, but got {name!r}.")
    tell = progress or (lambda text: None)
    copy = deepcopy(network).cpu().eval()
    images, labels = _images(data, input_shape, copy)
    wrapped = program.Logits(copy)
    with torch.no_grad():
        outputs = torch.cat([wrapped(b) for b in torch.split(images, 64)]).float()
    with tempfile.TemporaryDirectory(prefix="pruneviz-export-") as drafts:
        folder = Path(drafts)
        notes: dict[str, str] = {}
        writer = _Writer(wrapped, folder, name, images)
        for format in _in_order(wanted):
            tell(f"Writing {format}")
            notes[format] = writer.write(format, title, data)
        tell("Checking the files in a separate process")
        told = {"images": images, "outputs": outputs, "labels": labels}
        answers = try_files({f: folder / f"{name}{SUFFIXES[f]}" for f in notes}, told)
        _judge(answers, copy)
        _place(folder, Path(path))
    files = {f: Path(path) / f"{name}{SUFFIXES[f]}" for f in wanted}
    checks = tuple(_check(f, files[f], notes[f], answers[f], len(images)) for f in wanted)
    return Exported(files, checks)


def _in_order(wanted: Sequence[str]) -> list[str]:
    """int8 is made of the ONNX file."""
    return sorted(wanted, key=lambda f: f == "onnx-int8")


def _images(
    data: DataSet | None, input_shape: Sequence[int], network: nn.Module
) -> tuple[Tensor, Tensor | None]:
    import torch

    from pruneviz.data import normalise

    first = next(network.parameters(), torch.zeros(()))
    if data is None:
        noise = torch.randn(8, *input_shape, generator=torch.Generator().manual_seed(0))
        return noise.to(first.dtype), None
    split = data.split("test" if data.test is not None else "val").first(COMPARED)
    if tuple(split.images.shape[1:]) != tuple(input_shape):
        raise InvalidValueError(
            f"The images of '{data.name}' have the shape {tuple(split.images.shape[1:])}, but "
            f"input_shape is {tuple(input_shape)}; give {tuple(data.input_shape)}."
        )
    return normalise(split.images).to(first.dtype), split.labels


class _Writer:
    """Writes one network in several formats; what they share is made once."""

    def __init__(self, network: Logits, folder: Path, name: str, images: Tensor) -> None:
        self.network, self.folder, self.name, self.images = network, folder, name, images

    @cached_property
    def program(self) -> tuple[ExportedProgram, str]:
        """The network as a `torch.export` program, and how many images it takes at a time."""
        from pruneviz.export.program import exported_program

        return exported_program(self.network, self.images[:2].clone())

    def write(self, format: str, title: str, data: DataSet | None) -> str:
        """Write one format; returns a note on the file."""
        target = self.folder / f"{self.name}{SUFFIXES[format]}"
        if format == "safetensors":
            return self.safetensors(target)
        if format == "python":
            return self.python(target, title)
        if format == "config":
            from pruneviz.export.library import write_config

            return write_config(self.network.network, target)
        if format == "pt2":
            return self.pt2(target)
        return self.onnx(target) if format == "onnx" else self.int8(target, data)

    def safetensors(self, target: Path) -> str:
        from safetensors.torch import save_file

        state = self.network.network.state_dict()
        save_file({k: v.contiguous().clone() for k, v in state.items()}, target)
        return "weights only; PruneViz loads them into the pruned network"

    def python(self, target: Path, title: str) -> str:
        import torch

        from pruneviz.export.plain import plain_network

        shape = self.images.shape[1:]
        plain = plain_network(self.network.network, shape, title=title, stem=self.name)
        target.write_text(plain.source, encoding="utf-8")
        torch.save(plain.state, self.folder / f"{self.name}.pt")
        return "needs only torch"

    def pt2(self, target: Path) -> str:
        import torch

        program, note = self.program
        torch.export.save(program, target)
        return note

    def onnx(self, target: Path) -> str:
        from pruneviz.export.onnx import require, write_onnx

        require("ONNX", "onnx", "onnxruntime", "onnxscript")
        program, note = self.program
        return f"{write_onnx(program, target)}, {note}"

    def int8(self, target: Path, data: DataSet | None) -> str:
        from pruneviz.data import normalise
        from pruneviz.export.onnx import quantise

        whole = self.folder / f"{self.name}.onnx"
        there = whole.exists()
        if not there:
            self.onnx(whole)
        shown = None
        if data is not None:
            shown = normalise(data.split("train").first(CALIBRATION).images)
        note = quantise(whole, target, shown)
        if not there:
            whole.unlink()
        return note


def try_files(files: Mapping[str, Path], told: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Load files in fresh processes and run them; what these say of each.

    A config has a process of its own, in which the library that it is for can be imported.
    """
    plain = {format: path for format, path in files.items() if format != "config"}
    checks = _try(plain, told, BLOCKED) if plain else {}
    if "config" in files:
        checks |= _try({"config": files["config"]}, told, BLOCKED[:1])
    return checks


def _try(
    files: Mapping[str, Path], told: Mapping[str, Any], blocked: Sequence[str]
) -> dict[str, dict[str, Any]]:
    import torch

    with tempfile.TemporaryDirectory(prefix="pruneviz-check-") as place:
        folder = Path(place)
        torch.save(dict(told), folder / "images.pt")
        request = {
            "images": str(folder / "images.pt"),
            "files": {format: str(path) for format, path in files.items()},
            "threads": torch.get_num_threads(),
            "blocked": list(blocked),
        }
        (folder / "request.json").write_text(json.dumps(request))
        script = Path(__file__).with_name("check_files.py")
        done = subprocess.run(
            # isolated: neither this folder nor the user's environment adds to its path
            [sys.executable, "-I", "-B", str(script), str(folder / "request.json")],
            capture_output=True,
            text=True,
            cwd=folder,
        )
        answer = folder / "request.answer.json"
        if done.returncode or not answer.exists():
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise ExportError(
                "The process that checks the exported files ended with status "
                f"{done.returncode} ({last}); nothing was written."
            )
        checks: dict[str, dict[str, Any]] = json.loads(answer.read_text())
        return checks


def _judge(answers: Mapping[str, Mapping[str, Any]], network: nn.Module) -> None:
    """Raise `ExportError` for a file that does not do what the network does."""
    from pruneviz.export.check_files import state_digest

    for format, answer in answers.items():
        if "error" in answer:
            raise ExportError(
                f"The exported file ({format}) does not run in a separate process: "
                f"{answer['error']} Nothing was written; leave this format out."
            )
        if format == "safetensors":
            if answer["digest"] != state_digest(network.state_dict()):
                raise ExportError("The weights in the file differ from the network's.")
        elif format != "onnx-int8" and not answer["difference"] <= TOLERANCE:
            raise ExportError(
                f"The exported file ({format}) gives different outputs from the network: they "
                f"differ by {answer['difference']:.1e} of the largest output, more than "
                f"{TOLERANCE:g}. Nothing was written; leave this format out."
            )


def _check(format: str, path: Path, note: str, answer: Mapping[str, Any], images: int) -> Check:
    return Check(
        format=format,
        path=path,
        note=note,
        difference=answer.get("difference"),
        images=answer.get("images", images),
        correct=answer.get("correct"),
        milliseconds=answer.get("milliseconds"),
    )


def _place(drafts: Path, folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for draft in sorted(drafts.iterdir()):
            if draft.is_dir():
                shutil.copytree(draft, folder / draft.name, dirs_exist_ok=True)
            else:
                shutil.copyfile(draft, folder / draft.name)
    except OSError as error:
        raise StorageError(
            f"The exported files cannot be written to '{folder}' ({error.strerror}); give a folder "
            "that can be written."
        ) from error
