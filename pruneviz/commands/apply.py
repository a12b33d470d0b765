"""`pruneviz apply`: what a recipe says, done without a screen."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pruneviz.commands.output import add_json
from pruneviz.commands.watch import use_threads

if TYPE_CHECKING:
    from pruneviz.recipe import Applied, Recipe

REPORT, CARD, MODEL_CARD, NOTEBOOK, RECIPE = (
    "report.html",
    "card.png",
    "README.md",
    "session.ipynb",
    "recipe.json",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give a parser the command's options."""
    parser.add_argument("recipe", help="a recipe (JSON), as the page Export writes it")
    parser.add_argument(
        "--network",
        metavar="FILE.py:FACTORY",
        help="the function that returns the network, for a recipe of your own network",
    )
    parser.add_argument("--out", default="exported", help="folder (default: exported)")
    parser.add_argument("--report", action="store_true", help="also write the report and cards")
    add_json(parser)
    parser.add_argument("--threads", type=int, help="CPU cores to use (default: all)")


def obey(args: argparse.Namespace) -> int:
    """Apply the recipe and tell how it goes; returns the exit status."""
    from pruneviz.recipe.recipe import Recipe

    recipe = Recipe.read(args.recipe)
    use_threads(args)
    if args.network:
        from pruneviz.catalog import own

        own.hand_over(own.from_code(args.network))
    from pruneviz.recipe import apply_recipe

    def tell(text: str) -> None:
        print(f"{text}", file=sys.stderr if args.json else sys.stdout, flush=True)

    folder = Path(args.out)
    applied = apply_recipe(recipe, folder, tell=tell)
    written = keep(recipe, applied, folder, report=args.report, tell=tell)
    for note in applied.notes:
        tell(note)
    if args.json:
        print(json.dumps(summary(applied, written)))
    else:
        tell(f"Wrote {', '.join(written)} to {folder}.")
    return 0


def keep(
    recipe: Recipe, applied: Applied, folder: Path, *, report: bool, tell: Any = print
) -> list[str]:
    """Write recipe, plan and notebook beside the files, and on request the report."""
    from dataclasses import replace

    from pruneviz.recipe import notebook_of

    folder.mkdir(parents=True, exist_ok=True)
    whole = replace(recipe, digests=dict(applied.digests))
    texts = {
        RECIPE: whole.to_json(),
        "plan.json": applied.plan.to_json(),
        NOTEBOOK: notebook_of(whole),
    }
    if report:
        texts |= reports(whole, applied, folder, tell)
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    files = [path.name for path in applied.files.values()] if applied.files else []
    return [*files, *texts, *([CARD] if report else [])]


def reports(recipe: Recipe, applied: Applied, folder: Path, tell: Any) -> dict[str, str]:
    """The report and the model card; the share card is written at once."""
    from pruneviz.catalog import ModelSource, load_dataset
    from pruneviz.report import gather, model_card, report_html, share_card

    model = ModelSource.from_dict(dict(recipe.model)).load()
    facts = gather(
        model,
        applied.plan.graph,
        load_dataset(recipe.data["name"], **dict(recipe.data.get("options", {}))),
        applied.plan,
        applied.network,
        name=str(recipe.model["name"]),
        stage=applied.stage,
        recipe=recipe.to_json(),
        seeds=seeds(recipe),
        files=applied.files,
        tell=tell,
    )
    (folder / CARD).write_bytes(share_card(facts))
    return {REPORT: report_html(facts), MODEL_CARD: model_card(facts)}


def seeds(recipe: Recipe) -> tuple[str, ...]:
    """Return a line for each step with a random seed."""
    lines = []
    for step in recipe.steps:
        if step.kind in ("rank", "repair", "recalibrate"):
            lines.append(f"{step.note or step.kind}: seed {step.values.get('seed', 0)}.")
        elif step.kind in ("fine_tune", "strategy"):
            seed = dict(step.values.get("options", {})).get("seed", 0)
            lines.append(f"{step.note or step.kind}: seed {seed}.")
    return tuple(lines)


def summary(applied: Applied, written: list[str]) -> dict[str, Any]:
    """What came of it, for scripts."""
    return {
        "digests": dict(applied.digests),
        "evaluations": [
            {"network": stage, "split": split, "accuracy": e.accuracy, "images": e.count}
            for stage, split, e in applied.evaluations
        ],
        "checks": applied.files.to_dict() if applied.files else {},
        "files": written,
        "notes": list(applied.notes),
    }
