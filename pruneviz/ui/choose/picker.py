"""Picking a network, weights and a data set: from the catalogue, or one's own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st

from pruneviz.errors import UnknownNameError
from pruneviz.figures import style
from pruneviz.session.decisions import Subject
from pruneviz.ui.choose import uploads
from pruneviz.ui.frame import actions, services, state, workbench
from pruneviz.ui.frame.text import plain
from pruneviz.ui.serving import visitors

if TYPE_CHECKING:
    import pandas as pd

RANDOM, OWN_WEIGHTS, OWN_IMAGES = "random", "your own file …", "your own images …"


@st.cache_data(show_spinner=False, ttl=60)  # what was downloaded meanwhile is marked
def _catalogue() -> tuple[pd.DataFrame, pd.DataFrame]:
    from pruneviz.catalog import datasets, models

    return models(), datasets()


def show() -> None:
    """Show the picker; one button loads what is picked."""
    networks, data_sets = _catalogue()
    now = state.history().subject
    st.subheader("Network and data")
    told = st.empty()  # above what was picked: below the button it would be out of sight
    names = list(networks["name"])
    shown = {str(row["name"]): _network(row) for row in networks.to_dict("records")}
    _start_with("choose_network", names, now.model, now)
    model = st.selectbox(
        "Network",
        names,
        key="choose_network",
        format_func=shown.__getitem__,
        help="Bundled networks work offline; others are downloaded with their pretrained weights.",
    )
    row = networks.set_index("name").loc[model]
    weights = _weights(row, now)
    data, options = _data(data_sets, now)
    wanted = Subject(model, weights, None, data, options) if data else None
    st.button(
        "Load",
        key="choose_load",
        type="primary" if wanted is not None and wanted != now else "secondary",
        disabled=wanted is None or wanted == now,
        on_click=_take_up,
        args=(wanted,),
        width="stretch",
    )
    refused = st.session_state.pop(actions.REFUSAL, None)
    if refused:
        told.error(plain(refused), icon=":material/block:")
    if weights in set(str(row["weights"]).split(", ")) - set(str(row["offline"]).split(", ")):
        st.caption("These weights are downloaded once, which needs an internet connection.")


def _start_with(key: str, choices: list[str], value: str, now: Subject) -> None:
    """Before the list with that key is drawn: have it show what is loaded now.

    Once for each that is loaded; then it shows what is picked. A list that began anew each time
    would be another one for Streamlit, which shows both while a page is drawn.
    """
    loaded = f"{key}_of"
    if key not in st.session_state or st.session_state.get(loaded) != now:
        st.session_state[key] = value if value in choices else choices[0]
        st.session_state[loaded] = now


def _take_up(wanted: Subject) -> None:
    """Load a subject; where a file of the visitor's own cannot be loaded, nothing changes."""
    if not wanted.paths or actions.attempt(workbench.bench, wanted):
        state.choose(wanted)


def _network(row: Mapping[Any, Any]) -> str:
    return f"{row['name']} · {style.si(row['parameters'])} · {row['source']}"


def _weights(row: Any, now: Subject) -> str | None:
    """Pick the weights by name, or give a file."""
    named = [w for w in str(row["weights"]).split(", ") if w]
    own = now.weights if now.model == row.name and now.weights not in (*named, None) else None
    random = [] if row["source"] == "your own" else [RANDOM]
    choices = [*named, *([own] if own else []), *random, OWN_WEIGHTS]
    here = [w for w in str(row["offline"]).split(", ") if w]
    usual = next((w for w in named if w in here), RANDOM)
    preferred = now.weights if now.model == row.name and now.weights in choices else usual

    def told(weights: str) -> str:
        if weights.startswith("own:"):
            return "its own weights"
        if weights == own:
            return run_name(weights) or Path(weights).name
        return weights if weights in (*here, RANDOM, OWN_WEIGHTS) else f"{weights} (download)"

    key = f"choose_weights_{row.name}"
    _start_with(key, choices, preferred, now)
    if st.session_state[key] not in choices:  # a file of one's own that is not loaded any more
        st.session_state[key] = preferred
    picked = st.selectbox(
        "Weights",
        choices,
        key=key,
        format_func=told,
        help=(
            "The data set that the weights were trained on, or a file of your own "
            "(.safetensors, .pt or .pth) for the chosen network."
        ),
    )
    if picked == RANDOM:
        return None
    if picked == OWN_WEIGHTS:
        return uploads.ask(
            "Weights file",
            ("safetensors", "pt", "pth"),
            help="Loaded as data only; no code in the file is run.",
        )
    return str(picked)


def run_name(weights: str) -> str:
    """What the run is called whose weights these are; empty where they are no run's."""
    kind, _, run_id = weights.partition(":")
    if kind != "run":
        return ""
    try:
        return f"from run '{services.jobs().get(run_id).name}'"
    except UnknownNameError:
        return ""


def _data(data_sets: pd.DataFrame, now: Subject) -> tuple[str | None, tuple[tuple[str, Any], ...]]:
    """Pick a data set by name, or give an image folder."""
    names = [str(n) for n in data_sets["name"] if n != "folder"]
    mine = now.data == "folder"
    choices = [*names, OWN_IMAGES]
    start = OWN_IMAGES if mine else now.data
    _start_with("choose_data", choices, start, now)
    picked = st.selectbox(
        "Data",
        choices,
        key="choose_data",
        help="Accuracy here is measured on validation images; test images stay untouched.",
    )
    if picked != OWN_IMAGES:
        return picked, now.options if picked == now.data else ()
    loaded = str(dict(now.options).get("root", "")) if mine else ""
    root = _server_path(loaded)
    zipped = uploads.ask("… or upload a zip" if visitors.may_read_paths() else "Zip", ("zip",))
    if zipped and zipped != loaded:  # what is loaded already gives way to another path
        root = zipped
    if not root:
        return None, ()
    others = {k: v for k, v in now.options if mine and k != "root"}
    return "folder", tuple(sorted({**others, "root": root}.items()))


def _server_path(now: str) -> str:
    """Ask for a folder of this machine, where such may be named."""
    if not visitors.may_read_paths():
        return now
    under = visitors.data_root()
    typed = st.text_input(
        "Folder or zip on this machine" if under is None else f"Folder or zip under {plain(under)}",
        value=now,
        placeholder="/path/to/images" if under is None else "images",
        help=(
            "One folder per class, or train/ and val/ (or test/) with one folder per class in each."
        ),
    )
    return str(under / typed) if under is not None and typed else typed
