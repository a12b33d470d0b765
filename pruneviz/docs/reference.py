"""The reference of the public names as a folder of HTML: `python -m pruneviz.docs.reference`.

Built by pdoc (extra `docs`) from the docstrings; the pages need no server and no network.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import pruneviz as pv
from pruneviz.errors import MissingExtraError

PARTS = (
    "pruneviz",
    "pruneviz.errors",
    "pruneviz.data",
    "pruneviz.criteria",
    "pruneviz.strategies",
    "pruneviz.training",
    "pruneviz.repair",
    "pruneviz.latency",
    "pruneviz.recipe",
    "pruneviz.catalog",
)
"""The names of `import pruneviz as pv`, and what those who write their own parts import."""


def build(folder: Path) -> list[Path]:
    """Write the reference into a folder and return its pages, the entrance first.

    Raises:
        MissingExtraError: pdoc is not installed.
    """
    try:
        from pdoc import doc, render
    except ImportError as error:
        raise MissingExtraError("The reference", "pdoc", "docs") from error
    for name in pv.__all__:
        getattr(pv, name)  # they are loaded when they are first used
    render.configure(
        docformat="google", show_source=False, footer_text=f"PruneViz {pv.__version__}"
    )
    modules = {name: doc.Module(import_module(name)) for name in PARTS}
    pages = {f"{name.replace('.', '/')}.html": m for name, m in modules.items()}
    written = [folder / "index.html"]
    folder.mkdir(parents=True, exist_ok=True)
    for name, module in pages.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(render.html_module(module, modules), encoding="utf-8")
        written.append(path)
    written[0].write_text(render.html_index(modules), encoding="utf-8")
    (folder / "search.js").write_text(render.search_index(modules), encoding="utf-8")
    return written


def main(argv: Sequence[str] | None = None) -> int:
    """Write the reference where the command says."""
    parser = argparse.ArgumentParser(
        prog="python -m pruneviz.docs.reference", description="Write the reference as HTML."
    )
    parser.add_argument("folder", nargs="?", default="reference", help="default: reference")
    folder = Path(parser.parse_args(argv).folder)
    print(f"Wrote {len(build(folder))} pages; open {folder / 'index.html'}.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
