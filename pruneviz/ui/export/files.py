"""Files that need no PruneViz, and the session as recipe, notebook and link."""

from __future__ import annotations

import io
import tempfile
import zipfile
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st

from pruneviz.errors import PruneVizError
from pruneviz.session import fine_tuned
from pruneviz.ui.export.network import PLAIN, REPAIRED, network_of, steps_of
from pruneviz.ui.frame import services, state
from pruneviz.ui.frame.text import plain

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

    from pruneviz.export import Exported
    from pruneviz.jobs import RunView
    from pruneviz.plan import Plan
    from pruneviz.recipe import Recipe
    from pruneviz.session.workbench import Workbench

TITLES = {
    "python": "Plain PyTorch (needs only torch)",
    "onnx": "ONNX",
    "onnx-int8": "ONNX, int8",
    "pt2": "torch.export (.pt2)",
    "safetensors": "Weights (safetensors)",
    "config": "Config and weights for the network's own library",
}
OWN_CONFIG = ("timm/", "hf/")
"""How the names of networks begin whose library has configs."""
KEPT, CARD = "exported_files", "README.md"
TIMED_SECONDS = 2.0


def show(loaded: Workbench, chosen: str, plan: Plan, run: RunView | None, stem: str) -> None:
    """Show what can be written, and what was."""
    st.subheader("Files that run without PruneViz")
    able = find_spec("onnx") is not None and find_spec("onnxruntime") is not None
    own = loaded.subject.model.startswith(OWN_CONFIG)
    offered = [f for f in TITLES if (able or "onnx" not in f) and (own or f != "config")]
    with st.form("formats", border=False):
        formats = st.multiselect(
            "Formats",
            offered,
            default=["python"],
            format_func=TITLES.__getitem__,
            help=(
                "Before you get a file, it is loaded in a process that cannot import PruneViz, "
                "and its outputs are compared with the network's."
            ),
        )
        asked = st.form_submit_button("Export and check", icon=":material/output:")
    if not able:
        st.caption("For ONNX: pip install 'pruneviz[export]'")
    key = (loaded.subject.digest, chosen, plan.digest, tuple(formats))
    if asked and formats:
        _write(loaded, chosen, plan, run, formats, stem, key)
    kept: dict[str, Any] | None = st.session_state.get(KEPT)
    if kept is None or kept["key"][:3] != key[:3]:
        return
    st.dataframe(
        kept["table"],
        hide_index=True,
        column_config={
            "difference": st.column_config.NumberColumn("difference", format="%.1e"),
            "accuracy": st.column_config.NumberColumn("accuracy of the file", format="percent"),
            "kB": st.column_config.NumberColumn(format="%.0f"),
            "ms": st.column_config.NumberColumn("ms per image", format="%.2f"),
        },
    )
    st.download_button(
        "Download these files (zip)",
        kept["zip"],
        f"{stem}-files.zip",
        "application/zip",
        icon=":material/folder_zip:",
        on_click="ignore",
    )


def session(loaded: Workbench, chosen: str, plan: Plan, run: RunView | None, stem: str) -> None:
    """Offer the way to the network: as a recipe, a notebook, a plan in a link."""
    from pruneviz.recipe import notebook_of

    st.subheader("Reproduce")
    try:
        recipe = _recipe(loaded, chosen, plan, run)
    except PruneVizError as error:
        st.error(plain(error), icon=":material/error:")
        return
    with st.container(horizontal=True):
        st.download_button(
            "Recipe (JSON)",
            recipe.to_json(),
            f"{stem}.recipe.json",
            "application/json",
            icon=":material/receipt_long:",
            on_click="ignore",
            help=(
                "`pruneviz apply FILE --out FOLDER --report` repeats every step from the "
                "command line."
            ),
        )
        st.download_button(
            "Notebook",
            notebook_of(recipe),
            f"{stem}.ipynb",
            "application/x-ipynb+json",
            icon=":material/menu_book:",
            on_click="ignore",
        )


def _recipe(loaded: Workbench, chosen: str, plan: Plan, run: RunView | None) -> Recipe:
    from pruneviz.recipe import recipe_of_decisions, recipe_of_run

    formats = ("safetensors", "python")
    whole = (loaded.model, loaded.graph, loaded.data, loaded.source)
    if run is not None:
        kind, options = fine_tuned.settings(services.jobs(), run)
        return recipe_of_run(*whole, kind, options, plan, formats=formats)
    decisions = state.history().decisions
    needed = decisions.needs_ranking
    ranking = loaded.rankings.of(decisions.criterion) if needed else None
    then = steps_of(loaded, chosen, plan)
    return recipe_of_decisions(*whole, decisions, plan, ranking, then=then, formats=formats)


def _write(
    loaded: Workbench,
    chosen: str,
    plan: Plan,
    run: RunView | None,
    formats: list[str],
    stem: str,
    key: tuple[Any, ...],
) -> None:
    from pruneviz.export import export

    with (
        st.status("Writing the files", expanded=True) as status,
        tempfile.TemporaryDirectory() as d,
    ):
        try:
            network = network_of(loaded, chosen, plan, run)
            files = export(
                network,
                d,
                input_shape=loaded.data.input_shape,
                formats=formats,
                data=loaded.data,
                progress=lambda text: st.write(plain(text)),
            )
        except PruneVizError as error:
            status.update(label="No file was written", state="error")
            st.error(plain(error), icon=":material/error:")
            return
        card = _card(loaded, chosen, plan, network, files, lambda text: st.write(plain(text)))
        (Path(d) / CARD).write_text(card, encoding="utf-8")
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted(p for p in Path(d).rglob("*") if p.is_file()):
                archive.write(path, path.relative_to(d).as_posix())
        table = files.to_frame()
        st.session_state[KEPT] = {"key": key, "zip": out.getvalue(), "table": table}
        status.update(label="Exported and checked", state="complete", expanded=False)


def _card(
    loaded: Workbench,
    chosen: str,
    plan: Plan,
    network: nn.Module,
    files: Exported,
    tell: Callable[[str], None],
) -> str:
    """The model card of the network in these files, measured here."""
    from pruneviz.report import facts, model_card

    stage = {REPAIRED: facts.REPAIRED, PLAIN: facts.CUT}.get(chosen, facts.FINE_TUNED)
    gathered = facts.gather(
        loaded.model,
        loaded.graph,
        loaded.data,
        plan,
        network,
        name=loaded.subject.model,
        stage=stage,
        files=files,
        seconds=TIMED_SECONDS,
        tell=tell,
    )
    return model_card(gathered)
