"""`pruneviz export`: a network that a run left, as files that need no PruneViz."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pruneviz.arguments import one_of
from pruneviz.errors import InvalidValueError

if TYPE_CHECKING:
    from pruneviz.jobs.views import RunView

FORMATS = ("safetensors", "onnx", "onnx-int8", "pt2", "python", "config")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give a parser the command's options."""
    parser.add_argument("run_id", metavar="RUN", help="a run's id, or the start of one")
    parser.add_argument("--out", default="exported", help="folder (default: exported)")
    parser.add_argument(
        "--formats",
        default="safetensors,python",
        help=f"comma-separated: {', '.join(FORMATS)} (default: safetensors,python)",
    )
    parser.add_argument("--recipe", action="store_true", help="also write the run's recipe")
    parser.add_argument(
        "--home", default=argparse.SUPPRESS, help="folder for records (default: the studio's)"
    )


def obey(args: argparse.Namespace) -> int:
    """Load the run's network, export it, and say what each file does."""
    formats = [name.strip() for name in args.formats.split(",") if name.strip()]
    for name in formats:
        one_of("format", name, FORMATS)
    from pathlib import Path

    from safetensors.torch import load_file

    from pruneviz.catalog import ModelSource, load_dataset
    from pruneviz.export import export
    from pruneviz.jobs.service import JobService
    from pruneviz.plan import Plan
    from pruneviz.recipe import recipe_of_run
    from pruneviz.session.fine_tuned import settings
    from pruneviz.surgery import prune
    from pruneviz.trace import trace

    with JobService(args.home) as service:
        run = find(service.list(), args.run_id)
        folder = service.files(run.id)
        kind, options = settings(service, run)
        if not (folder / "weights.safetensors").is_file():
            raise InvalidValueError(
                f"Run '{run.name}' ({run.kind}, {run.status}) has no network to export; name a "
                "fine-tuning or strategy run that is done."
            )
        data = load_dataset(run.spec.data["name"], **dict(run.spec.data.get("options", {})))
        model = ModelSource.from_dict(dict(run.spec.model)).load()
        graph = trace(model, data.input_shape)
        kept = folder / "plan.json"
        text = kept.read_text() if kept.is_file() else run.spec.plan
        plan = Plan.from_json(graph, text) if text else Plan(graph)
        network = prune(model, graph, plan)
        network.load_state_dict(load_file(folder / "weights.safetensors"))
    files = export(
        network,
        args.out,
        input_shape=data.input_shape,
        formats=formats,
        data=data,
        progress=lambda told: print(f"{told} ...", flush=True),
    )
    print(files.to_frame().to_string(index=False, na_rep="-"))
    if args.recipe:
        recipe = recipe_of_run(
            model, graph, data, run.spec.model, kind, options, plan, formats=formats
        )
        (Path(args.out) / "recipe.json").write_text(recipe.to_json(), encoding="utf-8")
    print(f"Wrote {', '.join(path.name for path in files.values())} to {args.out}.")
    return 0


def find(runs: Sequence[RunView], wanted: str) -> RunView:
    """The run whose id begins so; `InvalidValueError` where none or several do."""
    matches = [run for run in runs if run.id.startswith(wanted)]
    exact = [run for run in matches if run.id == wanted]
    if len(exact or matches) == 1:
        return (exact or matches)[0]
    done = [f"{run.id} ({run.name})" for run in runs if run.status == "done"][:5]
    told = (
        f"{len(matches)} runs have an id that begins" if matches else "No run has an id that begins"
    )
    raise InvalidValueError(
        f"{told} with '{wanted}'. The newest that are done: {', '.join(done) or 'none'}."
    )
