"""The race on the page Lab: strategies of one's choice on the network in hand, as one study."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import streamlit as st

from pruneviz.figures import style
from pruneviz.figures.race import race_figure, race_info
from pruneviz.ui.frame import actions, services, state, theme, workbench
from pruneviz.ui.frame.text import plain
from pruneviz.ui.lab import records as lab_data
from pruneviz.ui.runs import course
from pruneviz.ui.widgets.duration import said, when

if TYPE_CHECKING:
    import pandas as pd

    from pruneviz.jobs import RunView
    from pruneviz.session.workbench import Workbench
    from pruneviz.studies.race_result import Race

FIRST = ("taylor", "soft", "uniform", "random", "control")


def show() -> None:
    """The form, and the race that is looked at."""
    active = any(run.active for run in lab_data.races())
    lab_data.beside(_form, _live, active)


def _form(loaded: Workbench) -> None:
    from pruneviz.strategies import find_strategy, names

    with st.form("race", border=True):
        st.markdown(f"**{plain(loaded.title)}**: the same budget and MACs for all")
        chosen = st.multiselect(
            "Strategies",
            list(names()),
            default=list(FIRST),
            format_func=lambda name: find_strategy(name).title,
            help=(
                "The control fine-tunes the unpruned network on the same budget; compare the "
                "others with it."
            ),
        )
        target = st.slider("MACs to keep", 5, 95, 50, format="%d %%")
        epochs = int(
            st.number_input(
                "Epochs", 1, 1000, 2, help="Passes over the training images, for each strategy."
            )
        )
        count = int(st.number_input("Seeds", 1, 20, 2, help="Every strategy runs once per seed."))
        started = st.form_submit_button(
            "Start the race", type="primary", icon=":material/flag:", width="stretch"
        )
    runs, each = len(chosen) * count, f"{epochs} epoch{'' if epochs == 1 else 's'}"
    st.caption(f"{runs} run{'' if runs == 1 else 's'} of {each}, one after the other.")
    if not started:
        return
    if not chosen:
        st.error("A race needs at least one strategy.", icon=":material/error:")
        return
    options = {
        "strategies": list(chosen),
        "target_macs": target / 100,
        "epochs": epochs,
        "seeds": list(range(count)),
    }
    spec = lab_data.race_spec(loaded, options, state.session().visitor)
    if actions.attempt(services.jobs().submit, spec):
        st.toast("The race is queued.", icon=":material/flag:")
    st.rerun()


def _live(was_active: bool) -> None:
    """The race that was picked; redrawn every second while one is under way."""
    race_runs = lab_data.races()
    if was_active and not any(run.active for run in race_runs):
        st.rerun()
    if not race_runs:
        st.info(
            "No race yet. Which strategy keeps the most accuracy at the same MACs, with this "
            "network, data set and budget? Start one on the left.",
            icon=":material/flag:",
        )
        return
    names = {run.id: f"{run.name}, {when(run.created)}" for run in race_runs}
    picked = st.selectbox("Race", list(names), format_func=names.__getitem__, key="race_shown")
    _race(next(run for run in race_runs if run.id == picked))


def _race(run: RunView) -> None:
    if run.active:
        st.progress(min(1.0, max(0.0, run.progress)), plain(run.message or run.status))
    if run.error:
        st.error(plain(run.error), icon=":material/error:")
    race = lab_data.race_of(run)
    if race is not None:
        info = replace(race_info(race), title="")  # the selection says it, and phones are narrow
        theme.chart(race_figure(info, dark=theme.dark()), f"race_{run.id}")
        st.dataframe(table(race), hide_index=True, width="stretch")
        images = "test" if race.split == "test" else "validation"
        each = f"{race.epochs} epoch{'' if race.epochs == 1 else 's'} each"
        st.caption(
            f"{each}. Accuracy on {race.images:,} {images} images; mean ± standard deviation over "
            f"the seeds; {said(run.seconds)}{' so far' if run.active else ''}."
        )
        st.download_button(
            "JSON",
            race.to_json(),
            "race.json",
            "application/json",
            key=f"race_json_{run.id}",
            icon=":material/download:",
        )
    elif run.active:
        st.caption("The chart appears once the first strategy is done.")
    course.show(workbench.bench(state.history().subject), run)
    if run.status != "done":
        lab_data.buttons(run)


def table(race: Race) -> pd.DataFrame:
    """The race's table as it is read: percentages with their spread."""
    import pandas as pd

    rows = []
    for row in race.to_frame().to_dict("records"):
        several = row["runs"] > 1
        spread = f" ± {100 * row['accuracy_std']:.2f}" if several else ""
        rows.append(
            {
                "strategy": row["strategy"],
                "accuracy": f"{100 * row['accuracy']:.2f}{spread} %" if row["runs"] else "–",
                "against control": style.points(row["accuracy"], race_control(race)),
                "MACs left": style.percent(row["macs"]),
                "parameters left": style.percent(row["params"]),
                "passes": round(row["passes"], 1) if row["runs"] else None,
                "seconds": round(row["seconds"]) if row["runs"] else None,
                "runs": f"{row['runs']} of {len(race.seeds)}",
            }
        )
    return pd.DataFrame(rows)


def race_control(race: Race) -> float:
    """The mean accuracy of the control; nan where there is none (yet)."""
    controls = [o.accuracy for o in race.of("control")]
    return sum(controls) / len(controls) if controls else float("nan")
