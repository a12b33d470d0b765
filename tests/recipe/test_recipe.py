"""A session as a recipe: the same plan and weights again, without a screen."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

import pruneviz as pv
from pruneviz.criteria import rank
from pruneviz.errors import PruneVizError, RecipeError, UnknownNameError
from pruneviz.export import state_digest
from pruneviz.recipe import Recipe, Step, apply_recipe, notebook_of, recipe_of_decisions
from pruneviz.recipe.write import recipe_of_run
from pruneviz.session.decisions import Decisions
from pruneviz.session.planning import plan_of

SOURCE = {"name": "resnet20", "weights": "digits", "num_classes": None, "seed": 0}


@pytest.fixture(scope="module")
def subject() -> tuple[object, ...]:
    data = pv.load_dataset("digits")
    model = pv.load_model("resnet20", "digits")
    graph = pv.trace(model, (3, 32, 32))
    return model, graph, data, rank(model, graph, data, ["l1"], images=64)


def made(subject, decisions: Decisions, **options) -> tuple[Recipe, object]:  # type: ignore[no-untyped-def]
    model, graph, data, ranking = subject
    plan = plan_of(graph, ranking, decisions)
    options.setdefault("formats", ())
    return (
        recipe_of_decisions(model, graph, data, SOURCE, decisions, plan, ranking, **options),
        plan,
    )


INNER = "layer2.1.conv1"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("decisions", "kinds"),
    [
        (Decisions("l1", ratio=0.4), ["rank", "threshold"]),
        (Decisions("l1", scope="group", ratio=0.3, multiple=4), ["rank", "threshold"]),
        (
            Decisions("l1", ratio=0.2, ratios=((INNER, 0.5),), protected=frozenset([INNER])),
            ["rank", "threshold"],
        ),
        (
            Decisions("l1", ratio=0.2, ratios=((INNER, 0.5),)),
            ["rank", "threshold", "threshold"],
        ),
        (Decisions("l1"), []),
    ],
)
def test_decisions_become_steps_that_lead_to_the_same_plan(
    subject: tuple[object, ...], decisions: Decisions, kinds: list[str]
) -> None:
    recipe, plan = made(subject, decisions)
    assert [s.kind for s in recipe.steps][1:-2] == kinds
    assert apply_recipe(recipe).plan == plan


@pytest.mark.slow
def test_picks_by_hand_and_rounded_widths(subject: tuple[object, ...]) -> None:
    group = subject[1].group(INNER)  # type: ignore[attr-defined]
    picked = Decisions(
        "l1", ratio=0.3, dropped=frozenset([group.start]), kept=frozenset([group.start + 1])
    )
    recipe, plan = made(subject, picked)
    assert "drop" in [s.kind for s in recipe.steps]
    assert "keep" in [s.kind for s in recipe.steps]
    assert apply_recipe(recipe).plan == plan
    own = subject[3].of("l1")[group.start : group.start + group.width]  # type: ignore[attr-defined]
    best = frozenset(group.start + int(i) for i in own.argsort()[-9:])
    rounded, plan = made(
        subject, Decisions("l1", scope="group", ratio=0.3, dropped=best, multiple=8)
    )
    assert "plan" in [s.kind for s in rounded.steps]  # no chain of thresholds leads there
    assert apply_recipe(rounded).plan == plan


@pytest.mark.sweep
def test_a_run_again_gives_bit_equal_weights_and_files(
    subject: tuple[object, ...], tmp_path: Path
) -> None:
    model, graph, data, _ = subject
    plan = pv.Plan(graph).drop("layer1.0.conv1", range(8))
    options = {"epochs": 1, "seed": 3}
    recipe = recipe_of_run(
        model, graph, data, SOURCE, "fine_tune", options, plan, formats=["python"]
    )
    small = pv.repair(model, graph, plan, data)
    for _ in pv.fine_tune(small, data, **options, teacher=model):
        pass
    told: list[str] = []
    text = recipe.to_json()
    found = apply_recipe(Recipe.from_json(text), tmp_path, tell=told.append)
    assert found.digests["result"] == state_digest(small.state_dict())
    assert found.files is not None
    assert found.files["python"].is_file()
    assert found.files.check("python").accuracy is not None
    assert [stage for stage, _, _ in found.evaluations] == ["unpruned", "repaired", "fine-tuned"]
    assert any("Epoch 1 of 1" in line for line in told)
    elsewhere = replace(recipe.with_steps(recipe.steps[:2]), digests={"result": "0" * 16})
    assert "not 0000000000000000" in apply_recipe(elsewhere).notes[0]


def test_a_repaired_network_is_the_one_that_repair_gives(subject: tuple[object, ...]) -> None:
    model, graph, data, _ = subject
    repairing = Step("repair", {"images": 64, "depth": "instant", "seed": 0}, "Repair")
    recipe, plan = made(
        subject, Decisions("l1", scope="group", ratio=0.5, multiple=2), then=[repairing]
    )
    found = apply_recipe(recipe)
    small = pv.repair(model, graph, plan, data, images=64, depth="instant", seed=0)
    assert found.stage == "repaired"
    assert found.digests["result"] == state_digest(small.state_dict())


@pytest.mark.parametrize("name", ["weights", "data", "network", "plan"])
def test_what_differs_is_named(subject: tuple[object, ...], name: str) -> None:
    recipe, _ = made(subject, Decisions("l1", ratio=0.4))
    other = replace(recipe, digests={**recipe.digests, name: "beefbeefbeefbeef"})
    with pytest.raises(RecipeError, match=rf"{recipe.digests[name]}.*beefbeefbeefbeef.*'{name}'"):
        apply_recipe(other)


def test_a_recipe_comes_back_from_its_text(subject: tuple[object, ...]) -> None:
    recipe, _ = made(subject, Decisions("l1", ratio=0.4))
    assert Recipe.from_json(recipe.to_json()) == recipe


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": "pruneviz-recipe/9"}, "pruneviz-recipe/1"),
        ({"steps": {"do": "prune"}}, "list"),
        ({"steps": ["prune"]}, "Step 1"),
        ({"steps": [{"do": "pruen"}]}, "prune"),
        ({"steps": [{"do": "rank"}]}, "criterion"),
        ({"steps": [{"do": "rank", "criterion": "l1", "image": 3}]}, "images"),
        ({"steps": [{"do": "rank", "criterion": "l1", "images": "many"}]}, "many"),
        ({"digests": {"wieghts": "a"}}, "weights"),
    ],
)
def test_damaged_recipes_say_what_is_wrong(
    subject: tuple[object, ...], change: dict[str, object], said: str
) -> None:
    recipe, _ = made(subject, Decisions("l1"))
    text = json.dumps({**json.loads(recipe.to_json()), **change})
    with pytest.raises((RecipeError, UnknownNameError), match=said):
        Recipe.from_json(text)


def test_steps_that_do_not_fit_say_so(subject: tuple[object, ...]) -> None:
    recipe, _ = made(subject, Decisions("l1"))
    bare = replace(recipe, digests={})
    with pytest.raises(RecipeError, match="no earlier step ranks by 'l1'"):
        apply_recipe(bare.with_steps([Step("threshold", {"criterion": "l1", "ratio": 0.5})]))
    with pytest.raises(RecipeError, match="folder"):
        apply_recipe(bare.with_steps([Step("export", {})]))
    with pytest.raises(PruneVizError, match="conv9"):
        apply_recipe(bare.with_steps([Step("drop", {"layer": "conv9", "filters": [1]})]))


@pytest.mark.sweep
def test_the_notebook_runs_to_the_same_weights(subject: tuple[object, ...], tmp_path: Path) -> None:
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    graph = subject[1]
    decisions = Decisions("l1", ratio=0.3, dropped=frozenset([graph.group(INNER).start]))  # type: ignore[attr-defined]
    train = Step("fine_tune", {"options": {"epochs": 1}}, "Fine-tune")
    recipe, _ = made(
        subject, decisions, then=[Step("prune", {}, "Prune"), train], formats=["python"]
    )
    here = apply_recipe(recipe.with_steps(s for s in recipe.steps if s.kind != "export"))
    recipe = replace(recipe, digests=here.digests)
    notebook = nbformat.reads(notebook_of(recipe), as_version=4)
    nbformat.validate(notebook)
    # as many threads as the tests have: sums round by them
    notebook.cells.insert(0, nbformat.v4.new_code_cell("import torch; torch.set_num_threads(1)"))
    nbclient.NotebookClient(
        notebook, timeout=280, resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    told = notebook.cells[-1].outputs[0].text
    assert told.count(here.digests["result"]) == 2
    assert (tmp_path / "exported" / "network.py").is_file()
