"""Loads exported files as a stranger would: run as a script of its own, it cannot import PruneViz.

Standard library and torch alone (onnxruntime, safetensors, timm and transformers for their own
formats). Reads a request (JSON) named on the command line, writes the answer beside it.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

BLOCKED = ("pruneviz", "torchvision", "timm", "transformers")
"""What no file needs, except a config, which is for the library that it came from."""


def block(names: Iterable[str]) -> None:
    """Make importing PruneViz, or what networks came from, an error in this process."""
    for name in names:
        sys.modules[name] = None  # type: ignore[assignment]


def run_python(path: Path, images: Any) -> tuple[Any, Callable[[Any], Any]]:
    """Outputs of the file's own `load()`."""
    import torch

    spec = importlib.util.spec_from_file_location("exported_network", path)
    if spec is None or spec.loader is None:
        raise RuntimeError(f"{path.name} is no Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    network = module.load()
    with torch.inference_mode():
        return network(images), network


def run_pt2(path: Path, images: Any) -> tuple[Any, Callable[[Any], Any]]:
    """Outputs of the program that `torch.export.load` reads."""
    import torch

    network = torch.export.load(path).module()
    with torch.inference_mode():
        return network(images), network


def run_onnx(path: Path, images: Any) -> tuple[Any, Callable[[Any], Any]]:
    """Outputs of onnxruntime on the processor."""
    import onnxruntime
    import torch

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    entry = session.get_inputs()[0].name

    def once(batch: Any) -> Any:
        return session.run(None, {entry: batch.numpy()})

    return torch.from_numpy(session.run(None, {entry: images.numpy()})[0]), once


def run_config(path: Path, images: Any) -> tuple[Any, Callable[[Any], Any]]:
    """Outputs of the network that timm or transformers builds from a folder."""
    import torch

    told = json.loads((path / "config.json").read_text())
    if "architecture" in told:
        import timm

        network: Any = timm.create_model(f"local-dir:{path}", pretrained=True).eval()
    else:
        from transformers import AutoModelForImageClassification

        network = AutoModelForImageClassification.from_pretrained(path).eval()

    def once(batch: Any) -> Any:
        scores = network(batch)
        return scores if isinstance(scores, torch.Tensor) else scores.logits

    return once(images), once


def digest_of(path: Path) -> str:
    """SHA-256 over names, types, shapes and bytes of a safetensors file's tensors."""
    from safetensors.torch import load_file

    return state_digest(load_file(path))


def state_digest(state: dict[str, Any]) -> str:
    """SHA-256 (first 16 hex digits) over a state dict, in order of name."""
    import torch

    hasher = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        hasher.update(f"{name} {tensor.dtype} {tuple(tensor.shape)};".encode())
        hasher.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return hasher.hexdigest()[:16]


RUNNERS = {
    "python": run_python,
    "pt2": run_pt2,
    "onnx": run_onnx,
    "onnx-int8": run_onnx,
    "config": run_config,
}


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """What each file gives for the request's images beside what the network gave."""
    import torch

    torch.set_num_threads(request["threads"])
    told = torch.load(request["images"], weights_only=True)
    images, wanted, labels = told["images"], told["outputs"], told["labels"]
    answers: dict[str, Any] = {}
    for format, name in request["files"].items():
        try:
            answers[format] = _one(format, Path(name), images, wanted, labels)
        except Exception as error:  # the answer says what happened
            answers[format] = {"error": f"{type(error).__name__}: {error}"[:2000]}
    return answers


def _one(format: str, path: Path, images: Any, wanted: Any, labels: Any) -> dict[str, Any]:
    if format == "safetensors":
        return {"digest": digest_of(path)}
    import torch

    outputs, network = [], None
    with torch.inference_mode():
        for batch in images.split(images_a_batch(len(images))):
            if network is None:
                made, network = RUNNERS[format](path, batch)
            else:
                again = network(batch)
                made = again if isinstance(again, torch.Tensor) else torch.from_numpy(again[0])
            outputs.append(made.float())
    scores = torch.cat(outputs)
    difference = (scores - wanted).abs().max() / wanted.abs().max().clamp_min(1e-12)
    measured: dict[str, Any] = {"difference": float(difference), "images": len(images)}
    if labels is not None:
        measured["correct"] = int((scores.argmax(1) == labels).sum())
    measured["milliseconds"] = 1e3 * _seconds(network, images[:1])
    return measured


def images_a_batch(count: int) -> int:
    """Two batches of different sizes wherever there are three images or more."""
    return count if count < 3 else min(64, (2 * count + 2) // 3)


def _seconds(network: Any, image: Any, budget: float = 0.5) -> float:
    """Median seconds of one image, over as many passes as fit into the budget (at least five)."""
    import torch

    taken: list[float] = []
    with torch.inference_mode():
        network(image)
        until = time.perf_counter() + budget
        while len(taken) < 5 or (time.perf_counter() < until and len(taken) < 200):
            start = time.perf_counter()
            network(image)
            taken.append(time.perf_counter() - start)
    return sorted(taken)[len(taken) // 2]


if __name__ == "__main__":
    path = Path(sys.argv[1])
    request = json.loads(path.read_text())
    block(request["blocked"])
    path.with_suffix(".answer.json").write_text(json.dumps(answer(request)))
