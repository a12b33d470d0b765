"""An upload on a page: kept on disk as soon as it has come, and let go of in memory.

Streamlit holds an uploaded file in memory until its session ends. So it is read once; then the
memory is given back, whether the file was kept or refused, and the field begins anew.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from pruneviz.errors import PruneVizError
from pruneviz.jobs.listing import Which
from pruneviz.ui.frame import services
from pruneviz.ui.frame.text import plain
from pruneviz.ui.serving import visitors
from pruneviz.ui.serving.sharing import current
from pruneviz.ui.widgets.memory import let_go

if TYPE_CHECKING:
    from streamlit.runtime.uploaded_file_manager import UploadedFile


def ask(label: str, types: tuple[str, ...], help: str | None = None) -> str | None:
    """Ask for a file, and return where it is kept; None until there is one."""
    slot = f"upload_{types[0]}"
    times, kept = st.session_state.get(slot, (0, None))
    file = st.file_uploader(label, type=list(types), help=help, key=f"{slot}_{times}")
    if file is not None:
        st.session_state[slot] = (times + 1, _take(file, slot))
        st.rerun()
    refused = st.session_state.pop(f"{slot}_refused", None)
    if refused:
        st.error(plain(refused), icon=":material/block:")
    if kept is None or not Path(kept).exists():  # refused when it was loaded, or swept
        return None
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(":material/check: File uploaded.", width="stretch")
        st.button("Remove", key=f"{slot}_forget", type="tertiary", on_click=_forget, args=(slot,))
    return str(kept)


def _forget(slot: str) -> None:
    times, kept = st.session_state[slot]
    st.session_state[slot] = (times, None)
    services.uploads().refuse(kept)  # stays if something was loaded from it


def _take(file: UploadedFile, slot: str) -> str | None:
    try:
        visitor = visitors.here()
        return str(
            services.uploads().keep(file.name, file.getvalue(), visitor.id, _room(visitor.id))
        )
    except PruneVizError as error:
        st.session_state[f"{slot}_refused"] = str(error)
        return None
    finally:
        let_go(file)


def _room(visitor: str) -> int | None:
    """Return the bytes that a visitor may still keep; None where that is not limited."""
    most = current().limits.disk
    if most is None or visitors.here().owns_studio:
        return None
    runs = services.jobs().list(Which(owner=visitor))
    taken = services.jobs().store.files.size(run.id for run in runs)
    return most - taken - services.uploads().taken(visitor)
