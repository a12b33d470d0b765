"""A plan in an address: `?model=...&weights=...&data=...&w=...&plan=...`.

It is as good in any studio, unlike the key into the records that an address has otherwise.
A link names networks and data of the catalogue alone: what lies in files, or comes from a run, has
to be loaded first, and is then known by the digest of its weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

import streamlit as st

from pruneviz.errors import InvalidValueError, PlanError, PruneVizError, WeightsError
from pruneviz.session.decisions import Subject, exactly
from pruneviz.ui.frame import actions, arrival, state, workbench
from pruneviz.ui.frame.text import plain

if TYPE_CHECKING:
    from pruneviz.plan import Plan
    from pruneviz.session.workbench import Workbench

PLAN, WEIGHTS_DIGEST = "plan", "w"
NAMES = ("model", "weights", "classes", "data")
LABEL = "plan from a link"
DIGITS = 8


def link_to(of: Workbench, plan: Plan, page: str | None = None) -> str:
    """Return the address of a plan: for `page`, the address of any page of this studio."""
    told = {**_named(of.subject), WEIGHTS_DIGEST: _digest(of), PLAN: plan.to_link()}
    query = f"?{urlencode(told)}"
    if page is None:
        return query
    parts = urlsplit(page)
    folder = parts.path.rstrip("/").rpartition("/")[0]
    return f"{parts.scheme}://{parts.netloc}{folder}/prune{query}"


def show(of: Workbench, plan: Plan) -> None:
    """Offer the link."""
    with st.popover("Copy link to this plan", icon=":material/link:"):
        st.caption(
            "The link holds the whole plan and opens in any studio."
            if _named(of.subject)
            else "The link holds the whole plan, but the network or its data are not in the "
            "catalogue: whoever opens it must first load them, with the same weights."
        )
        st.code(link_to(of, plan, st.context.url), language=None, wrap_lines=True)
        if plan.dropped:
            st.caption("In a notebook:")
            st.code(f'pv.Plan.from_link(graph, "{plan.to_link()}")', wrap_lines=True)


def follow() -> None:
    """At the start of a run: load the plan that the address holds, and the network it is for."""
    asked = dict(st.query_params.items())
    if PLAN not in asked:
        return
    wanted = arrival.asked()
    for key in (PLAN, WEIGHTS_DIGEST, *NAMES):
        st.query_params.pop(key, None)
    if not wanted:
        return
    try:
        _load(asked)
    except PruneVizError as error:
        st.toast(plain(str(error)), icon=":material/block:", duration="long")


def _load(asked: Mapping[str, str]) -> None:
    from pruneviz.plan import Plan

    subject = _subject(asked) or state.session().subject
    loaded = workbench.bench(subject)
    plan = Plan.from_link(loaded.graph, asked[PLAN])
    wanted = asked.get(WEIGHTS_DIGEST, "")
    if wanted != _digest(loaded):
        raise WeightsError(
            f"This link's plan was made for different weights of {loaded.subject.model} (digest "
            f"{wanted or 'unknown'}; the loaded ones have {_digest(loaded)}). Load those weights, "
            "then open the link again."
        )
    state.choose(subject)
    decided = state.session().decisions
    if not actions.take(exactly(decided, frozenset(plan.dropped), LABEL)):
        raise PlanError(st.session_state.pop(actions.REFUSAL))


def _subject(asked: Mapping[str, str]) -> Subject | None:
    """The subject that a link names; None where it names none.

    Raises:
        InvalidValueError: it names something that is not of the catalogue.
    """
    if "model" not in asked or "data" not in asked:
        return None
    classes = asked.get("classes", "")
    subject = Subject(
        asked["model"],
        asked.get("weights") or None,
        int(classes) if classes.isdecimal() else None,
        asked["data"],
    )
    if not _portable(subject):
        raise InvalidValueError(
            "A link can name only networks and data from the catalogue, but got "
            f"'{subject.title}'; load what the plan was made for, then open the link again."
        )
    return subject


def _named(subject: Subject) -> dict[str, str]:
    """The subject by names that any studio knows; empty where it has others."""
    if not _portable(subject):
        return {}
    classes = {} if subject.num_classes is None else {"classes": str(subject.num_classes)}
    named = {"model": subject.model, "weights": subject.weights or "", **classes}
    return {**named, "data": subject.data}


def _portable(subject: Subject) -> bool:
    from pruneviz.catalog import datasets, models

    if subject.paths or subject.options or subject.data not in set(datasets()["name"]):
        return False
    known = models().set_index("name")
    if subject.data in ("folder", "own") or subject.model not in known.index:
        return False
    row = known.loc[subject.model]
    named = str(row["weights"]).split(", ")
    return row["source"] != "your own" and (subject.weights is None or subject.weights in named)


def _digest(of: Workbench) -> str:
    from pruneviz.training.weights import digest_weights

    return digest_weights(of.model)[:DIGITS]
