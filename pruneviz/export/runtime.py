"""One pass in ONNX Runtime on the processor, for timing: the network exported as its users do."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from pruneviz.export.onnx import quiet, require, write_onnx
from pruneviz.export.program import Logits, exported_program

WHAT = "Timing in ONNX Runtime"


def passes(model: nn.Module, images: Tensor, threads: int) -> Callable[[], None]:
    """The pass as a call, with so many threads for one operation.

    Raises:
        MissingExtraError: onnx, onnxruntime or onnxscript is not installed.
        ExportError: ONNX does not know one of its operations.
    """
    require(WHAT, "onnx", "onnxruntime", "onnxscript")
    import onnxruntime

    given = images.detach().cpu().float()
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        path = Path(folder) / "network.onnx"
        program, _ = exported_program(Logits(model).eval(), given)
        write_onnx(program, path)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 3
        with quiet():
            session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
    fed = {session.get_inputs()[0].name: given.numpy()}
    # A graph that holds one image at a time takes the batch image by image.
    size = session.get_inputs()[0].shape[0]
    if isinstance(size, int) and size != len(given):
        name = next(iter(fed))
        single = [{name: given[i : i + 1].numpy()} for i in range(len(given))]

        def each() -> None:
            for one in single:
                session.run(None, one)

        return each

    def once() -> None:
        session.run(None, fed)

    return once
