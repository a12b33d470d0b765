"""The house's rules: imports point one way, heavy libraries have owners, torch stays outside."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# What each part may import of the others; those in FOR_ALL may be imported by all.
FOR_ALL = ("errors", "arguments", "machine", "modes", "stored", "bars", "logs", "data_options")
BELOW = ("channels", "stages", "inputs", "outputs", "hooks", "torch_calls")
PLANS = ("plan", "threshold")
CORE = (*BELOW, "trace", *PLANS, "cost", "surgery", "replay")
ALLOWED: dict[str, tuple[str, ...]] = {
    "errors": (),
    "arguments": (),
    "data_options": (),
    "stored": (),
    "links": (),
    "docs": (),
    "lessons": (),
    "machine": (),
    "modes": (),
    "bars": (),
    "logs": (),
    "plugins": (),
    "drawing": (),  # results are drawn through it; it finds the figures by name
    "evaluation": ("drawing",),
    "channels": ("drawing",),
    "stages": ("channels",),
    "inputs": ("channels",),
    "outputs": (),
    "hooks": (),
    "torch_calls": (),
    "trace": ("channels", "inputs", "hooks", "torch_calls"),
    "plan_text": ("channels", "links"),
    "plan": ("channels", "stages", "plan_text", "drawing"),
    "threshold": ("channels", "stages", "plan"),
    "cost": ("channels", "plan", "drawing"),
    "surgery": ("channels", "inputs", "plan", "cost"),
    "replay": (*BELOW, "plan", "cost", "surgery"),
    "augmentation": (),
    "data": ("catalog", "augmentation"),
    "catalog": ("data",),
    "pretrain": ("data", "catalog", "training"),
    "criteria": (*CORE, "plugins", "data", "drawing", "evaluation", "repair"),
    "repair": (*CORE, "data", "training", "drawing", "evaluation"),
    "training": (*CORE, "data", "augmentation", "catalog", "drawing", "evaluation"),
    "latency": (*CORE, "training", "data", "drawing", "evaluation"),
    "sensitivity_result": ("drawing",),
    "sensitivity": (
        *CORE,
        "sensitivity_result",
        "criteria",
        "repair",
        "training",
        "data",
        "drawing",
        "evaluation",
        "latency",
    ),
    "strategies": (
        *CORE,
        "sensitivity_result",
        "plugins",
        "criteria",
        "training",
        "repair",
        "sensitivity",
        "allocation",
        "data",
        "catalog",
        "drawing",
        "evaluation",
    ),
    "explain": (*CORE, "criteria", "repair", "training", "data", "drawing", "evaluation"),
}
ALLOWED["allocation"] = (*ALLOWED["sensitivity"], "sensitivity", "latency")
ALLOWED["export"] = (*ALLOWED["strategies"], "strategies", "explain", "latency")
ALLOWED["jobs"] = (*ALLOWED["export"], "export")
ALLOWED["studies"] = (*ALLOWED["jobs"], "jobs")
ALLOWED["figures"] = (*ALLOWED["studies"], "studies")
ALLOWED["session"] = (*ALLOWED["studies"], "studies")
ALLOWED["notebook"] = (*ALLOWED["session"], "session")
ALLOWED["recipe"] = (*ALLOWED["session"], "session", "repair")
ALLOWED["report"] = (*ALLOWED["figures"], "figures")
ALLOWED["ui"] = (*ALLOWED["recipe"], "recipe", "report", "figures", "docs", "lessons")
ALLOWED["commands"] = (*ALLOWED["ui"], "ui")  # above them all: it starts the studio
# The package's front door names everything, loads nothing.
FREE = {"__init__", "__main__"}

OWNERS = {
    "streamlit": {"ui", "app", "pages"},
    "captum": {"criteria", "explain"},
    "sqlalchemy": {"jobs"},
    "onnx": {"export"},
    "timm": {"catalog", "export"},
    "anywidget": {"notebook"},
    "transformers": {"catalog", "export"},
    "onnxruntime": {"export"},
    "openvino": {"export"},
    "onnxscript": {"export"},
    "pymoo": {"strategies", "studies"},
}
TORCH_FREE = [
    "pruneviz",
    "pruneviz.errors",
    "pruneviz.plugins",
    "pruneviz.strategies",
    "pruneviz.commands.main",
    "pruneviz.commands.run",
    "pruneviz.commands.race",
    "pruneviz.commands.study",
    "pruneviz.studies.papers",
    "pruneviz.studies.pretraining_queue",
    "pruneviz.plan",
    "pruneviz.threshold",
    "pruneviz.sensitivity_result",
    "pruneviz.cost",
    "pruneviz.figures.by_result",
    "pruneviz.evaluation",
    "pruneviz.session.decisions",
    "pruneviz.session.session",
]


def part_of(path: Path) -> str:
    relative = path.relative_to(ROOT)
    if relative.parts[0] != "pruneviz":
        return relative.parts[0].removesuffix(".py")
    if path.stem == "pretrain":
        return "pretrain"  # a command that stands on training, not part of loading
    return relative.parts[1].removesuffix(".py")


def sources() -> list[Path]:
    found = [ROOT / "app.py", *(ROOT / "pages").glob("*.py"), *(ROOT / "pruneviz").rglob("*.py")]
    return sorted(found)


@cache
def imports(path: Path, *, type_checking: bool) -> frozenset[str]:
    """Return the absolute names that a file imports, those under `if TYPE_CHECKING` on request."""
    tree = ast.parse(path.read_text())
    hidden: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            hidden.update(child for part in node.body for child in ast.walk(part))
    names: set[str] = set()
    for node in ast.walk(tree):
        if node in hidden and not type_checking:
            continue
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            names.add(node.module or "")
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return frozenset(names)


def parts_imported(path: Path) -> set[str]:
    found = set()
    for name in imports(path, type_checking=False):
        pieces = name.split(".")
        if pieces[0] == "pruneviz" and len(pieces) > 1:
            candidate = ROOT / "pruneviz" / pieces[1]
            if candidate.is_dir() or candidate.with_suffix(".py").exists():
                found.add(pieces[1])
    return found


def test_every_part_is_known() -> None:
    parts = {part_of(p) for p in (ROOT / "pruneviz").rglob("*.py")} - FREE
    assert parts <= set(ALLOWED), f"say in ALLOWED what {parts - set(ALLOWED)} may import"


def test_arrows_point_one_way() -> None:
    wrong = []
    for path in sources():
        part = part_of(path)
        if part in FREE or part in {"app", "pages"}:
            continue
        allowed = {part, *FOR_ALL, *ALLOWED.get(part, ())}
        wrong += [
            f"{path.relative_to(ROOT)} imports pruneviz.{other}"
            for other in sorted(parts_imported(path) - allowed)
        ]
    assert not wrong, "\n".join(wrong)


def test_allowed_arrows_have_no_cycle() -> None:
    for part, targets in ALLOWED.items():
        for target in targets:
            if {part, target} != {"data", "catalog"}:
                assert part not in ALLOWED[target], f"{part} and {target} import each other"


def modules() -> dict[str, Path]:
    """Every file of the package by the name under which it is imported."""
    files = (ROOT / "pruneviz").rglob("*.py")
    named = {".".join(f.relative_to(ROOT).with_suffix("").parts): f for f in files}
    return {name.removesuffix(".__init__"): f for name, f in named.items()}


def test_no_file_imports_itself_by_a_detour_even_late_or_for_types() -> None:
    """Imports inside functions and under `if TYPE_CHECKING` count, too."""
    files = modules()
    arrows: dict[str, set[str]] = {}
    for name, path in files.items():
        named = {n for n in imports(path, type_checking=True) if n in files}
        # `from package import module` is an arrow to the module, not to the package's face
        faces = {n for n in named if any(other.startswith(f"{n}.") for other in named)}
        arrows[name] = named - faces - {name, "pruneviz"}
    del arrows["pruneviz"]  # the front door names everything, loads nothing
    try:
        TopologicalSorter(arrows).prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


@pytest.mark.parametrize("library", sorted(OWNERS))
def test_libraries_have_owners(library: str) -> None:
    users = {
        part_of(path)
        for path in sources()
        if any(n.split(".")[0] == library for n in imports(path, type_checking=True))
    }
    assert users <= OWNERS[library]


def test_figures_know_no_screen_and_no_torch() -> None:
    for path in (ROOT / "pruneviz" / "figures").rglob("*.py"):
        roots = {n.split(".")[0] for n in imports(path, type_checking=False)}
        assert not roots & {"torch", "streamlit", "sqlalchemy"}, path


@pytest.mark.parametrize("module", TORCH_FREE)
def test_imports_without_torch(module: str) -> None:
    if importlib.util.find_spec(module) is None:
        pytest.fail(f"{module} is missing")
    code = f"import sys, {module}; print(sorted({{'torch', 'streamlit'}} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert out.stdout.strip() == "[]", out.stderr


def test_public_names_exist_and_functions_win_over_modules() -> None:
    code = (
        "import pruneviz.cost, pruneviz.sensitivity, pruneviz as pv\n"
        "missing = [n for n in pv.__all__ if not hasattr(pv, n)]\n"
        "print(missing, callable(pv.cost), callable(pv.sensitivity))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert out.stdout.strip() == "[] True True", out.stderr
