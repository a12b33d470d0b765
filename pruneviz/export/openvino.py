"""One pass in OpenVINO on the processor, for timing: the network as an ONNX file, compiled."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from pruneviz.errors import MissingExtraError
from pruneviz.export.onnx import quiet, require, write_onnx
from pruneviz.export.program import Logits, exported_program

WHAT = "Timing in OpenVINO"


def passes(model: nn.Module, images: Tensor, threads: int) -> Callable[[], None]:
    """The pass as a call, with so many threads, in 32-bit floats as the network has.

    Raises:
        MissingExtraError: openvino is not installed, or what writes ONNX files.
        ExportError: ONNX does not know one of its operations.
    """
    try:
        import openvino
    except ImportError as error:
        raise MissingExtraError(WHAT, "openvino", "openvino") from error
    require(WHAT, "onnx", "onnxscript")
    given = images.detach().cpu().float()
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        path = Path(folder) / "network.onnx"
        program, _ = exported_program(Logits(model).eval(), given)
        write_onnx(program, path)
        with quiet():
            read = openvino.Core().read_model(path)
            size = read.input().get_partial_shape()[0]
            batch = given[: size.get_length()] if size.is_static else given
            read.reshape(list(batch.shape))
            compiled = openvino.compile_model(
                read,
                "CPU",
                {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"},
            )
    request = compiled.create_infer_request()
    parts = [part.numpy() for part in torch.split(given, len(batch))]

    def once() -> None:
        for part in parts:
            request.infer([part])

    return once
