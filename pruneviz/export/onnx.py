"""ONNX files: written by torch's exporter, quantised by onnxruntime."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pruneviz.errors import ExportError, MissingExtraError

OPSET = 20
"""Read by onnxruntime from 1.17 (2024) on."""


def require(what: str, *libraries: str) -> None:
    """Raise `MissingExtraError` where one of the extra's libraries is not installed."""
    for library in libraries:
        if find_spec(library) is None:
            raise MissingExtraError(what, library, "export")


def write_onnx(program: torch.export.ExportedProgram, path: Path, opset: int = OPSET) -> str:
    """Write a `torch.export` program as ONNX; returns a note.

    Raises:
        MissingExtraError: onnx, onnxruntime or onnxscript is not installed.
        ExportError: An operation that ONNX does not know; named.
    """
    try:
        with quiet():
            exported = torch.onnx.export(
                program,
                dynamo=True,
                opset_version=opset,
                input_names=["images"],
                output_names=["scores"],
                verbose=False,
            )
            if exported is None:
                raise RuntimeError("torch.onnx.export returned nothing")
            exported.save(str(path))
    except Exception as error:
        raise ExportError(
            f"This network cannot be exported to ONNX: {cause_of(error)}. Replace that "
            "operation, or use another format."
        ) from error
    return f"opset {opset}"


def quantise(path: Path, target: Path, images: Tensor | None) -> str:
    """Write an int8 copy of an ONNX file; returns a note.

    With images its activations are quantised by what these cause (static, QDQ, a scale a
    channel); without, at run time (dynamic), which leaves convolutions as they are.
    """
    require("int8", "onnx", "onnxruntime")
    from onnxruntime.quantization import (
        CalibrationDataReader,
        QuantFormat,
        QuantType,
        quantize_dynamic,
        quantize_static,
    )
    from onnxruntime.quantization.shape_inference import quant_pre_process

    ready = target.with_suffix(".tmp.onnx")
    try:
        with quiet():
            quant_pre_process(str(path), str(ready), skip_symbolic_shape=True)
            if images is None:
                quantize_dynamic(str(ready), str(target), weight_type=QuantType.QInt8)
                return "int8 weights of linear layers (dynamic; no images to calibrate with)"
            shown = images

            class Reader(CalibrationDataReader):  # type: ignore[misc]
                def __init__(self) -> None:
                    self.batches = iter(torch.split(shown, 16))

                def get_next(self) -> dict[str, Any] | None:
                    batch = next(self.batches, None)
                    return None if batch is None else {"images": batch.numpy()}

            quantize_static(
                str(ready),
                str(target),
                Reader(),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
            )
    except Exception as error:
        raise ExportError(
            f"onnxruntime cannot quantise this network ({cause_of(error)}). Export only 'onnx'."
        ) from error
    finally:
        ready.unlink(missing_ok=True)
    return f"int8, calibrated on {len(images)} images"


def cause_of(error: BaseException) -> str:
    """The sentence at the bottom of an exporter's error, which names the operation."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = next((x for x in lines if "::" in x or "aten." in x or "torch.ops" in x), None)
    return f"{type(error).__name__}: {told or (lines[0] if lines else '')}"[:400].rstrip(". ")


@contextmanager
def quiet() -> Iterator[None]:
    """The exporters' own progress and warnings say nothing to a user of PruneViz."""
    names = ("torch.onnx", "onnxscript", "onnx_ir", "root", "torch.export")
    loggers = [logging.getLogger(n if n != "root" else None) for n in names]
    levels = [logger.level for logger in loggers]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for logger in loggers:
                logger.setLevel(logging.ERROR)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
