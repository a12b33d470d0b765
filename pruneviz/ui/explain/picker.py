"""Which image is looked at: one of the data, an uploaded one, or one drawn by hand."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from pruneviz.ui.explain.component import component
from pruneviz.ui.frame import state, workbench
from pruneviz.ui.frame.text import plain
from pruneviz.ui.widgets import pictures
from pruneviz.ui.widgets.memory import let_go

if TYPE_CHECKING:
    from torch import Tensor

    from pruneviz.session.workbench import Workbench

SOURCES = ("data", "draw", "upload")
PIXELS = "explain_pixels"
"""What was drawn or uploaded last: uint8 (3, H, W), by the subject and the source."""
UPLOADS = ["png", "jpg", "jpeg", "webp", "bmp", "gif"]


@dataclass(frozen=True, eq=False)
class Picked:
    """An image as pixels and as the network takes it."""

    pixels: Tensor
    """uint8 (C, H, W)."""
    truth: int | None
    key: str

    def normalised(self, loaded: Workbench) -> Tensor:
        """float32 (C, H, W), as the data are."""
        from pruneviz.data import normalise

        return normalise(self.pixels[None], loaded.data.mean, loaded.data.std)[0]


def pick(loaded: Workbench) -> Picked | None:
    """Let the visitor choose an image; None until there is one."""
    names = {"data": "From the data", "draw": "Draw", "upload": "Upload"}
    source = st.segmented_control(
        "Image",
        SOURCES,
        default="data",
        required=True,
        key="explain_source",
        format_func=names.__getitem__,
    )
    picked = _of_data(loaded) if source == "data" else _given(loaded, str(source))
    if picked is not None:
        shown = pictures.enlarged(picked.pixels.permute(1, 2, 0).numpy(), 128)
        truth = "" if picked.truth is None else f": {loaded.data.classes[picked.truth]}"
        if source != "draw":
            st.image(shown, caption=plain(f"The image{truth}"), width=128, alt=f"The image{truth}")
    return picked


def _of_data(loaded: Workbench) -> Picked:
    sample = loaded.data.val.first(loaded.preview_images)
    labels, names = sample.labels.tolist(), loaded.data.classes
    base = workbench.known_accuracy(loaded, None)
    wrong = set() if base is None else set(np.flatnonzero(base.predictions != labels).tolist())
    index = st.selectbox(
        "Validation image",
        range(len(labels)),
        key="explain_image",
        format_func=lambda i: f"{i}: {names[labels[i]]}{' (misclassified)' * (i in wrong)}",
    )
    return Picked(sample.images[index], labels[index], f"{loaded.data.digest} {index}")


def _given(loaded: Workbench, source: str) -> Picked | None:
    if source == "draw":
        component("canvas")(key="explain_canvas", data={}, on_drawn_change=state.while_here(_drawn))
        st.caption("Draw a digit with the mouse, a finger or a pen, or choose an image instead.")
    else:
        times = st.session_state.get("explain_uploads", 0)
        file = st.file_uploader("An image file", type=UPLOADS, key=f"explain_upload_{times}")
        if file is not None:
            _uploaded(loaded, file.getvalue())
            st.session_state.explain_uploads = times + 1
            let_go(file)
            st.rerun()
    kept = st.session_state.get(PIXELS, {}).get((loaded.subject, source))
    if kept is None:
        return None
    import torch

    pixels: Any = kept
    return Picked(torch.from_numpy(pixels), None, f"{source} {hash(pixels.tobytes())}")


def _uploaded(loaded: Workbench, content: bytes) -> None:
    from pruneviz.catalog.images import decode
    from pruneviz.errors import DataError

    try:
        _keep("upload", decode(content, loaded.data.input_shape[-1]))
    except DataError as error:
        st.toast(plain(error))
    except (OSError, ValueError, SyntaxError) as error:
        st.toast(plain(f"This file cannot be read as an image ({error})."))


def _drawn() -> None:
    """Take the strokes (64 × 64 grey values) as the data set's images were made."""
    import torch
    from torch.nn.functional import adaptive_avg_pool2d, interpolate

    text = state.sent("explain_canvas", "drawn")
    if not text:
        return
    raw = np.frombuffer(base64.b64decode(text), np.uint8)
    if raw.size != 64 * 64:
        return
    loaded = workbench.bench(state.history().subject)
    channels, height, width = loaded.data.input_shape
    strokes = torch.from_numpy(raw.reshape(1, 1, 64, 64).astype(np.float32))
    small = adaptive_avg_pool2d(strokes, 8)  # the bundled digits are 8 × 8, enlarged
    large = interpolate(small, size=(height, width), mode="bilinear")
    pixels = large.clamp(0, 255).round().to(torch.uint8)[0].expand(channels, -1, -1)
    _keep("draw", pixels.contiguous().numpy())


def _keep(source: str, pixels: Any) -> None:
    subject = state.history().subject
    st.session_state.setdefault(PIXELS, {})[(subject, source)] = pixels
