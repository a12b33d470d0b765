"""The study on the page Lab: pretrained networks against those from scratch, a queue of runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import streamlit as st

from pruneviz.figures.pretraining import pretraining_figure, pretraining_info
from pruneviz.studies.pretraining_queue import KIND, PretrainingRequest, gather
from pruneviz.studies.queue import by_study, data_called
from pruneviz.ui.frame import services, theme
from pruneviz.ui.lab import records as lab_data
from pruneviz.ui.widgets.duration import said, when

if TYPE_CHECKING:
    import pandas as pd

    from pruneviz.jobs import RunView
    from pruneviz.session.workbench import Workbench
    from pruneviz.studies.pretraining import PretrainingStudy

BUNDLED = ("vgg16", "mobilenet_v2", "resnet20")
PRETRAINED = "cifar10"
HEIGHT = 360
SHOWN = "study_shown"


def show() -> None:
    """The form, and the study that is looked at."""
    active = any(run.active for runs in _studies().values() for run in runs)
    lab_data.beside(_form, _live, active)


def _studies() -> dict[str, tuple[RunView, ...]]:
    return by_study(services.jobs(), KIND)


def models_for(loaded: Workbench) -> dict[str, dict[str, Any]]:
    """The networks to choose from, by what they are called: bundled ones, and the one in hand."""
    weights_by_title: dict[str, dict[str, Any]] = {
        f"{name}, {PRETRAINED}": {"name": name, "weights": PRETRAINED} for name in BUNDLED
    }
    own = dict(loaded.source)
    if own.get("weights") not in (None, PRETRAINED, loaded.data.name):
        weights_by_title[f"{own['name']}, {own['weights']}"] = own
    return weights_by_title


def data_for(loaded: Workbench) -> dict[str, dict[str, Any]]:
    """The data sets to choose from: digits, and what is in hand."""
    own = dict(loaded.data.source)
    return {"digits": {"name": "digits", "options": {}}} | {data_called(own): own}


def _form(loaded: Workbench) -> None:
    models, data = models_for(loaded), data_for(loaded)
    with st.form("study", border=True):
        st.markdown("**Does pretraining help pruning?** The same budget for both starts")
        chosen = st.multiselect(
            "Pretrained networks",
            list(models),
            default=list(models)[:1],
            help="Each network is trained twice: from these weights, and from scratch.",
        )
        on = st.multiselect(
            "Data",
            list(data),
            default=list(data)[-1:],
            help="Digits, and the data set chosen on the page Choose.",
        )
        count = int(
            st.number_input(
                "Seeds", 1, 20, 1, help="Every network and data set runs once per seed."
            )
        )
        one, two = st.columns(2)
        before = one.number_input(
            "Epochs before pruning", 1, 1000, 8, help="Training before any pruning."
        )
        after = two.number_input(
            "Epochs after pruning", 0, 1000, 3, help="Fine-tuning at every point of the curve."
        )
        points = one.number_input("Reductions", 1, 20, 4, help="Points along the curve.")
        largest = two.number_input(
            "Largest reduction, %",
            5,
            95,
            80,
            help="Fraction of the parameters pruned at the last point.",
        )
        started = st.form_submit_button(
            "Start the study", type="primary", icon=":material/science:", width="stretch"
        )
    runs = len(chosen) * len(on) * count
    passes = 2 * (int(before) + int(points) * int(after))
    st.caption(f"{runs} run{'' if runs == 1 else 's'} of {passes} epochs, one after the other.")
    if not started:
        return
    if not runs:
        st.error("A study needs at least one network and one data set.", icon=":material/error:")
        return
    study = PretrainingRequest(
        models=tuple(models[name] for name in chosen),
        data=tuple(data[name] for name in on),
        seeds=tuple(range(count)),
        options={
            "epochs_before": int(before),
            "epochs": int(after),
            "sparsities": int(points),
            "largest": int(largest) / 100,
        },
    )
    lab_data.queue(study, SHOWN)


def _live(was_active: bool) -> None:
    """The study that was picked; redrawn every second while one is under way."""
    studies = _studies()
    if was_active and not any(run.active for runs in studies.values() for run in runs):
        st.rerun()
    if not studies:
        st.info(
            "No study yet. How many parameters can you prune before accuracy falls: from "
            "pretrained weights, and from scratch? Start one on the left.",
            icon=":material/science:",
        )
        return
    lab_data.keep_known(SHOWN, studies)
    picked = st.selectbox(
        "Study", list(studies), format_func=lambda parent: title(studies[parent]), key=SHOWN
    )
    _study(picked, studies[picked])


def title(runs: tuple[RunView, ...]) -> str:
    """What a study is called: its networks and data, and when it began."""
    networks = dict.fromkeys(str(run.spec.model["name"]) for run in runs)
    data = dict.fromkeys(data_called(run.spec.data) for run in runs)
    began = when(min(run.created for run in runs))
    return f"{', '.join(networks)} on {', '.join(data)}, {began}"


def _study(parent: str, runs: tuple[RunView, ...]) -> None:
    lab_data.how_far(runs)
    under_way = any(run.active for run in runs)
    study = gather(services.jobs(), runs)
    if study.runs:
        info = pretraining_info(study)
        theme.chart(pretraining_figure(info, dark=theme.dark(), height=HEIGHT), f"study_{parent}")
        st.dataframe(table(study), hide_index=True, width="stretch")
        seconds = sum(run.seconds for run in runs)
        st.caption(
            "Pruned: the largest parameter reduction before validation accuracy first fell "
            "more than 1 point below its own baseline; mean ± standard deviation over the "
            f"seeds. {said(seconds)}{' so far' if under_way else ''}."
        )
        st.download_button(
            "JSON",
            study.to_json(),
            "study.json",
            "application/json",
            key=f"study_json_{parent}",
            icon=":material/download:",
        )
    elif under_way:
        st.caption("The curves appear once the first network is trained.")
    lab_data.buttons(*runs)


def table(study: PretrainingStudy) -> pd.DataFrame:
    """The reductions as they are read."""
    import pandas as pd

    rows = []
    for row in study.reductions().to_dict("records"):
        spread = f" ± {100 * row['std']:.1f}" if row["count"] > 1 else ""
        rows.append(
            {
                "network": row["network"],
                "data": row["data"],
                "start": row["start"],
                "removed": f"{100 * row['mean']:.1f}{spread} %",
                "seeds": row["count"],
            }
        )
    return pd.DataFrame(rows)
