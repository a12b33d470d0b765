"""The form that starts a run: the plan in hand fine-tuned, or a strategy that decides itself."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

import streamlit as st

from pruneviz.docs import methods
from pruneviz.figures import style
from pruneviz.ui.frame import actions, services, state, workbench
from pruneviz.ui.frame.text import plain
from pruneviz.ui.runs import records as runs_data
from pruneviz.ui.widgets.duration import said

if TYPE_CHECKING:
    from pruneviz.jobs import RunSpec
    from pruneviz.session.workbench import Workbench
    from pruneviz.strategies import OptionInfo

PLAN = "plan"


def show(loaded: Workbench) -> None:
    """Show what can be started; a click on Start queues it."""
    from pruneviz.strategies import find_strategy, strategies

    names = [PLAN, *strategies()["name"]]
    how = st.selectbox(
        "Method",
        names,
        format_func=lambda n: "Fine-tune the current plan" if n == PLAN else find_strategy(n).title,
        key="method",
        help=(
            "Fine-tuning applies the current plan, then trains. A strategy decides which units to "
            "prune, and when."
        ),
    )
    if how in methods.NAMES:
        with st.expander("How it works", icon=":material/school:"):
            st.markdown(methods.method(how).body.replace("## ", "##### "))
    refused: list[str] = []
    with st.form("start", border=True):
        name, options = (
            _plan_fields(loaded, refused) if how == PLAN else _strategy_fields(loaded, how, refused)
        )
        started = st.form_submit_button(
            "Start", type="primary", icon=":material/play_arrow:", width="stretch"
        )
    for sentence in refused:
        st.error(plain(sentence), icon=":material/error:")
    if refused:
        return
    spec = _spec(loaded, how, name, options)
    expected = services.jobs().expected_duration(spec)
    if expected is not None:
        st.caption(f"Takes about {said(expected)}, judging by earlier runs on this machine.")
    if started:
        if actions.attempt(services.jobs().submit, spec):
            st.toast(f"'{plain(name)}' is queued.", icon=":material/play_arrow:")
        st.rerun()


def _spec(loaded: Workbench, how: str, name: str, options: dict[str, Any]) -> RunSpec:
    visitor = state.session().visitor
    if how != PLAN:
        return runs_data.strategy_spec(loaded, how, options, name, visitor)
    plan, _ = state.in_hand()
    return runs_data.spec(loaded, plan, options, name, visitor)


def _plan_fields(loaded: Workbench, refused: list[str]) -> tuple[str, dict[str, Any]]:
    from pruneviz.training import settings_for

    history = state.history()
    plan, cost = state.in_hand()
    what = style.change(cost.macs, cost.baseline_macs) + " MACs" if plan.dropped else "unpruned"
    st.caption(
        f"Applies the current plan, **{plain(history.step.label)}** ({what}), then trains on "
        f"{len(loaded.data.train):,} images. You can leave the page meanwhile."
    )
    name = st.text_input("Name", value=f"{loaded.subject.model}: {history.step.label}")
    usual = settings_for(loaded.model, loaded.data)
    if usual.head_epochs:
        st.caption(
            f"The classifier is new, so it trains alone for the first {usual.head_epochs} epochs, "
            f"at a learning rate of {usual.head_lr:g}; then all layers train, at {usual.lr:g}."
        )
    epochs = st.number_input(
        "Epochs",
        1,
        1000,
        usual.epochs,
        help="Passes over the training images. The default is higher for small data sets.",
    )
    options: dict[str, Any] = {"epochs": int(epochs)}
    if plan.dropped:
        options["repair"] = st.checkbox(
            "Repair first",
            True,
            help=(
                "Refits the remaining weights to make up for the pruned filters, in closed "
                "form and without training. Epoch 0 is then the repaired network."
            ),
        )
        options["teacher"] = st.checkbox(
            "Learn from the unpruned network",
            _has_anything_to_teach(loaded),
            help=(
                "Knowledge distillation: trains on the unpruned network's outputs as well as "
                "the labels (Hinton, Vinyals & Dean 2015). An epoch takes about 1.5 times as "
                "long."
            ),
        )
    with st.expander("More"):
        options["optimizer"] = st.selectbox(
            "Optimiser",
            ["sgd", "adamw"],
            help="SGD with Nesterov momentum, or AdamW (Loshchilov & Hutter 2019).",
        )
        rate = st.text_input("Learning rate", placeholder="the optimiser's default")
        options["schedule"] = st.selectbox(
            "Schedule",
            ["cosine", "one-cycle", "steps", "constant"],
            help="How the learning rate changes over the run.",
        )
        smoothing = st.slider("Label smoothing", 0.0, 0.3, 0.0, 0.05, help="Szegedy et al. 2016.")
        options["seed"] = int(
            st.number_input("Seed", 0, 2**31 - 1, 0, help="The same seed gives the same weights.")
        )
    if smoothing:
        options["label_smoothing"] = float(smoothing)
    if rate.strip():
        options["lr"] = _number("Learning rate", rate, refused)
    return name, options


def _has_anything_to_teach(loaded: Workbench) -> bool:
    """Whether the unpruned network was trained: it says so, and is not at chance, if measured."""
    from pruneviz.training.preparation import knows_its_classes

    untrained = workbench.no_better_than_chance(loaded) is not None
    return not untrained and knows_its_classes(loaded.model)


def _strategy_fields(loaded: Workbench, how: str, refused: list[str]) -> tuple[str, dict[str, Any]]:
    from pruneviz.strategies import FineTuning, find_strategy

    strategy = find_strategy(how)
    st.caption(f"{strategy.help} {strategy.paper}")
    name = st.text_input("Name", value=f"{loaded.subject.model}: {strategy.title}")
    options: dict[str, Any] = {}
    if strategy.reaches_target:
        target = st.slider(
            "MACs to keep",
            5,
            95,
            round(100 * (strategy.default_target or 0.5)),
            format="%d %%",
            help="The strategy stops once the network is down to this.",
        )
        options["target_macs"] = target / 100
    options["seed"] = int(
        st.number_input("Seed", 0, 2**31 - 1, 0, help="The same seed gives the same network.")
    )
    with st.expander("Options"):
        shared = {option.name for option in dataclasses.fields(FineTuning)}
        for info in sorted(strategy.fields, key=lambda i: i.name in shared):  # its own come first
            untaught = info.name == "teacher" and not _has_anything_to_teach(loaded)
            usual = dataclasses.replace(info, default=False) if untaught else info
            value = _field(how, usual, refused)
            if value != info.default:
                options[info.name] = value
    return name, options


def _field(strategy: str, info: OptionInfo, refused: list[str]) -> Any:
    """One option as a control of the right kind."""
    label, key = info.title, f"{strategy}_{info.name}"
    if info.kind == "bool":
        return st.checkbox(label, bool(info.default), key=key, help=info.help)
    if info.choices:
        choices = [*([None] if info.optional else []), *info.choices]
        names = dict(zip(info.choices, info.choice_names, strict=True))
        return st.selectbox(
            label,
            choices,
            index=choices.index(info.default),
            format_func=lambda choice: names.get(choice, "by default"),
            key=key,
            help=info.help,
        )
    shown = (
        ""
        if info.default is None
        else f"{info.default:g}"
        if info.kind != "str"
        else (str(info.default))
    )
    hint = "not set" if info.optional else None
    text = st.text_input(label, shown, key=key, help=info.help, placeholder=hint).strip()
    if not text or text == shown:
        return None if not text and info.optional else info.default
    if info.kind == "str":
        return text
    value = _number(info.label, text, refused)
    return round(value) if info.kind == "int" and value is not None else value


def _number(what: str, text: str, refused: list[str]) -> float | None:
    """Return the number that was typed; one that is none is added to what is refused.

    Not raised: the rest of the form would not be drawn then, its button neither.
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if math.isfinite(value):
        return value
    refused.append(f"'{what}' must be a number, but got '{text}'; write it like 0.01.")
    return None
