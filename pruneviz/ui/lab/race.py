"""The race on the page Lab: strategies of one's choice on the network in hand, as one study."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import streamlit as st

from pruneviz.figures import style
from pruneviz.figures.race import race_figure, race_info
from pruneviz.strategies.registry import title_of
from pruneviz.studies.queue import by_study, data_called
from pruneviz.studies.race_queue import KIND, RaceRequest, gather
from pruneviz.ui.frame import services, state, theme, workbench
from pruneviz.ui.frame.text import plain
from pruneviz.ui.lab import records as lab_data
from pruneviz.ui.runs import course
from pruneviz.ui.widgets.duration import said, when

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from pruneviz.jobs import RunView
    from pruneviz.jobs.planned import Planned
    from pruneviz.session.workbench import Workbench
    from pruneviz.studies.race_result import Race

FIRST = ("taylor", "soft", "uniform", "random", "control")
SHOWN = "race_shown"
HALVING = "after 1, 2, 4, … seeds only the better half by validation accuracy continues."


def show() -> None:
    """The form, and the race that is looked at."""
    lab_data.beside(_form, _live, _active(_races()))


def _active(races: Mapping[str, tuple[RunView, ...]]) -> bool:
    return any(lab_data.under_way(runs, _plan(runs)) for runs in races.values())


def _plan(runs: Sequence[RunView]) -> Planned | None:
    """What is on record of a race with halving that this page started."""
    return lab_data.plan_of(runs) if runs[0].spec.options.get("halving") else None


def _races() -> dict[str, tuple[RunView, ...]]:
    return by_study(services.jobs(), KIND)


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
        halving = st.toggle(
            "Successive halving",
            help=(
                "Spends the seeds on the strategies that may win. The control, and searches that "
                "do not end at the MACs, are not compared and never stop."
            ),
        )
        st.caption(
            f"With it, {HALVING} Their runs begin by themselves, also when this page is closed."
        )
        started = st.form_submit_button(
            "Start the race", type="primary", icon=":material/flag:", width="stretch"
        )
    runs, each = style.counted(len(chosen) * count, "run"), style.counted(epochs, "epoch")
    many = f"At most {runs} of {each}." if halving else f"{runs} of {each}; halving needs fewer."
    st.caption(many)
    if not started:
        return
    if not chosen:
        st.error("A race needs at least one strategy.", icon=":material/error:")
        return
    lab_data.queue(
        RaceRequest(
            model=loaded.source,
            data=loaded.data.source,
            strategies=tuple(chosen),
            target_macs=target / 100,
            epochs=epochs,
            seeds=tuple(range(count)),
            halving=halving,
        ),
        SHOWN,
    )


def _live(was_active: bool) -> None:
    """The race that was picked; redrawn every second while one is under way."""
    races = _races()
    if was_active and not _active(races):
        st.rerun()
    if not races:
        st.info(
            "No race yet. Which strategy keeps the most accuracy at the same MACs, with this "
            "network, data set and budget? Start one on the left.",
            icon=":material/flag:",
        )
        return
    lab_data.keep_known(SHOWN, races)
    picked = st.selectbox(
        "Race", list(races), format_func=lambda parent: title(races[parent]), key=SHOWN
    )
    _race(picked, races[picked])


def title(runs: tuple[RunView, ...]) -> str:
    """What a race is called: its network and data, what each may spend, and when it began."""
    spec = runs[0].spec
    raced = len({run.spec.options.get("strategy") for run in runs})
    epochs, target = (spec.options.get(name, 0) for name in ("epochs", "target_macs"))
    parts = (
        f"{spec.model.get('name')} on {data_called(spec.data)}",
        f"{raced} strateg{'y' if raced == 1 else 'ies'}",
        style.counted(epochs, "epoch"),
        f"{target:.0%} of the MACs",
        when(min(run.created for run in runs)),
    )
    return ", ".join(parts)


def _race(parent: str, runs: tuple[RunView, ...]) -> None:
    lab_data.how_far(runs)
    plan = _plan(runs)
    active = lab_data.under_way(runs, plan)
    race = gather(services.jobs(), runs)
    if race is not None and plan is not None:  # with the seeds that no run has begun
        race = replace(race, seeds=tuple(plan.request["seeds"]))
    if plan is not None and plan.error:
        st.error(plain(f"No further runs can begin: {plan.error}"), icon=":material/error:")
    if race is not None and race.outcomes:
        info = replace(race_info(race), title="")  # the selection says it, and phones are narrow
        theme.chart(race_figure(info, dark=theme.dark()), f"race_{parent}")
        st.dataframe(table(race), hide_index=True, width="stretch")
        images = "test" if race.split == "test" else "validation"
        each = f"{style.counted(race.epochs, 'epoch')} each"
        work = f"{said(sum(run.seconds for run in runs))} of work{' so far' if active else ''}"
        if race.halving:
            st.caption(stopped(race))
        st.caption(
            f"{each}. Accuracy on {race.images:,} {images} images; mean ± standard deviation over "
            f"the seeds; {work}."
        )
        st.download_button(
            "JSON",
            race.to_json(),
            "race.json",
            "application/json",
            key=f"race_json_{parent}",
            icon=":material/download:",
        )
    elif active:
        st.caption("The chart appears once the first strategy is done.")
    _courses(parent, runs)
    lab_data.buttons(*runs, plan=plan)


def _courses(parent: str, runs: tuple[RunView, ...]) -> None:
    """Offer the steps of one of the runs."""
    begun = {run.id: run for run in runs if run.attempts}
    if not begun:
        return
    names = {run.id: _called(run) for run in begun.values()}
    picked = st.selectbox(
        "Run", list(names), index=len(names) - 1, format_func=names.__getitem__,
        key=f"race_run_{parent}",
    )  # fmt: skip
    course.show(workbench.bench(state.history().subject), begun[picked])


def _called(run: RunView) -> str:
    return f"{title_of(run.spec.options['strategy'])}, seed {run.spec.options['seed']}"


def table(race: Race) -> pd.DataFrame:
    """The race's table as it is read: percentages with their spread."""
    import pandas as pd

    rows = []
    for row in race.to_frame().to_dict("records"):
        several = row["runs"] > 1
        spread = f" ± {100 * row['accuracy_std']:.2f}" if several else ""
        rows.append(
            {
                "strategy": title_of(row["strategy"]),
                "accuracy": f"{100 * row['accuracy']:.2f}{spread} %" if row["runs"] else "–",
                "against control": style.points(row["accuracy"], race_control(race)),
                "MACs left": style.percent(row["macs"]),
                "parameters left": style.percent(row["params"]),
                "passes": round(row["passes"], 1) if row["runs"] else None,
                "seconds": round(row["seconds"]) if row["runs"] else None,
                "runs": f"{row['runs']} of {len(race.seeds)}"
                + (", stopped" if row["stopped"] else ""),
            }
        )
    return pd.DataFrame(rows)


def stopped(race: Race) -> str:
    """How a race with halving goes, and which strategies have stopped early."""
    told = [
        f"{title_of(n)} after {style.counted(seeds, 'seed')}" for n, seeds in race.stopped.items()
    ]
    return f"Successive halving: {HALVING} Stopped: {', '.join(told) or 'none yet'}."


def race_control(race: Race) -> float:
    """The mean accuracy of the control; nan where there is none (yet)."""
    controls = [o.accuracy for o in race.of("control")]
    return sum(controls) / len(controls) if controls else float("nan")
