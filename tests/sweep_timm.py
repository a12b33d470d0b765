"""The laws over timm's convolutional networks: the table "works with".

    python -m tests.sweep_timm [--minutes 30] [name ...]

One network of each family first (the smallest by its name), random weights, one random plan, small
images; then what is left, until the minutes of processor time are used up. Each network is a line
of `pruneviz/catalog/timm_networks.json`, which is written after every one: the command goes on
where it was stopped. Exit status 1 if any law fails.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import timm
import torch

from pruneviz.cost import cost
from pruneviz.errors import TraceError
from pruneviz.trace import trace
from tests.core.laws import check_laws, random_plan, shake

TABLE = Path(__file__).parents[1] / "pruneviz" / "catalog" / "timm_networks.json"
FORMAT = "pruneviz-works-with/1"
SIZES = (64, 96, 128, 160, 192, 224, 256)
SEED = 0
MOST_PARAMETERS = 60e6
"""Of networks that are tried without `--largest`."""
_TRANSFORMERS = (
    "beit cait coat convit crossvit davit deepseek_vit deit efficientvim efficientvit_msra eva "
    "focalnet gcvit gemma4_vit hiera hieradet_sam2 levit maxxvit mlp_mixer mvitv2 naflexvit nest "
    "pit pvt_v2 qwen3_vit sequencer swin_transformer swin_transformer_v2 swin_transformer_v2_cr "
    "tiny_vit tnt twins visformer vision_transformer vision_transformer_hybrid "
    "vision_transformer_relpos vision_transformer_sam vitamin volo xcit"
)
TRANSFORMERS = frozenset(_TRANSFORMERS.split())
"""Modules of timm that hold no convolutional networks."""
HYBRIDS = frozenset(
    [
        "byoanet",
        "cpubone",
        "csatv2",
        "edgenext",
        "efficientformer",
        "efficientformer_v2",
        "efficientvit_mit",
        "iformer",
        "lowformer",
        "metaformer",
        "mobilenetv5",
        "mobilevit",
        "nextvit",
        "shvit",
        "swiftformer",
    ]
)
"""Modules whose networks have attention between convolutions; they come last."""
VARIANT = re.compile(
    r"_(zepto|atto|femto|pico|nano|tiny|small|base|large|xlarge|xxlarge|kobe|xx?|xl|xxl|el|em|es"
    r"|focus|edgetpu|light|sa|ma|mci|id|rw)(_.*)?$"
)
"""What tells the networks of one family apart."""
SMALL = (
    "zepto", "atto", "femto", "pico", "nano", "xxs", "xs", "tiny", "small", "_t0", "_s0", "_b0",
    "_m0", "_l0", "_f0", "_035", "_050", "_002", "_t", "_s", "_xs", "_a0", "_a",
)  # fmt: skip


def families() -> dict[str, list[str]]:
    """timm's names by family (module and the letters a name begins with), small ones first."""
    found: dict[str, list[str]] = {}
    for module in sorted(timm.list_modules(), key=lambda m: (m in HYBRIDS, m)):
        if module in TRANSFORMERS:
            continue
        for name in timm.list_models(module=module):
            if not name.startswith("test_"):
                letters = re.match(r"[a-z]+(?:_[a-z]{2,})*(?:v[2-5])?", name)
                assert letters is not None
                family = VARIANT.sub("", letters[0])
                found.setdefault(f"{module}/{family}", []).append(name)
    return {family: sorted(names, key=_size) for family, names in found.items()}


def _size(name: str) -> tuple[int, list[int], str]:
    token = next((i for i, token in enumerate(SMALL) if token in name), len(SMALL))
    return token, [int(n) for n in re.findall(r"\d+", name)], name


def wanted() -> list[tuple[str, str]]:
    """(family, name): the first of every family, then the second of every family, ..."""
    listed = families()
    longest = max(map(len, listed.values()))
    return [
        (family, names[i]) for i in range(longest) for family, names in listed.items()
        if i < len(names)
    ]  # fmt: skip


def examine(family: str, name: str, most: float = MOST_PARAMETERS) -> dict[str, Any]:
    """One line of the table."""
    start = time.process_time()
    row: dict[str, Any] = {"name": name, "family": family}
    with torch.device("meta"):
        row["parameters"] = sum(p.numel() for p in timm.create_model(name).parameters())
    config = timm.get_pretrained_cfg(name, allow_unregistered=True)
    row["input_size"] = int(config.input_size[-1]) if config else 224
    if row["parameters"] > most:
        return row | {"outcome": "not tried", "reason": "is too large for this sweep"}
    torch.manual_seed(SEED)
    model = shake(timm.create_model(name))
    try:
        own = trace(model, (3, row["input_size"], row["input_size"]))
    except TraceError as error:
        return row | {"outcome": "refused", "reason": str(error)}
    free = [layer for layer in own.layers if layer.prunable]
    reasons = Counter(
        layer.reason
        for layer in own.layers
        if not layer.prunable and layer.reason != "feeds the network's output"
    )
    row |= {
        "macs": cost(own).macs,
        "layers": len(own.layers),
        "prunable_layers": len(free),
        "prunable_share": round(sum(x.macs for x in free) / max(cost(own).macs, 1), 4),
        "maskable": own.maskable,
        "reason": reasons.most_common(1)[0][0] if reasons else "",
    }
    row |= _laws(model, row["input_size"])
    return row | {"seconds": round(time.process_time() - start, 1)}


def _laws(model: torch.nn.Module, own: int) -> dict[str, Any]:
    graph, side = None, own
    for side in [*(s for s in SIZES if s < own), own]:
        try:
            graph = trace(model, (3, side, side))
            break
        except TraceError:
            continue
    assert graph is not None
    images = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(SEED))
    plan = random_plan(graph, SEED)
    try:
        check_laws(model, graph, plan, images, functional=True)
    except AssertionError:  # rounding, or a law? Random weights can make a network's values huge
        try:
            check_laws(model.double(), graph, plan, images.double(), functional=True)
        except AssertionError as error:
            return {"outcome": "failed", "reason": f"AssertionError: {error}"[:300]}
        return {"outcome": "kept", "checked_at": side, "precision": "double"}
    return {"outcome": "kept", "checked_at": side}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", help="names of timm's; all where there are none")
    parser.add_argument("--minutes", type=float, default=30, help="of processor time")
    parser.add_argument(
        "--largest", type=float, default=MOST_PARAMETERS, help="parameters of networks to try"
    )
    options = parser.parse_args(arguments)
    warnings.simplefilter("ignore")
    table = json.loads(TABLE.read_text()) if TABLE.exists() else {"networks": []}
    rows = {row["name"]: row for row in table["networks"]}
    left_out = {n for n, row in rows.items() if row.get("outcome") == "not tried"}
    left_out = {n for n in left_out if rows[n]["parameters"] <= options.largest}
    todo = [
        (f, n) for f, n in wanted()
        if (n in options.names if options.names else n not in rows or n in left_out)
    ]  # fmt: skip
    for family, name in todo:
        if time.process_time() > options.minutes * 60:
            break
        try:
            row = examine(family, name, options.largest)
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"[:300]
            row = {"name": name, "family": family, "outcome": "failed", "reason": reason}
        rows[name] = row
        print(f"{name:34s} {row['outcome']:9s} {row.get('reason', '')[:100]}", flush=True)
        _write(rows)
    _write(rows)
    outcomes = Counter(row["outcome"] for row in rows.values())
    print(dict(outcomes))
    return 1 if outcomes["failed"] else 0


def _weights(name: str) -> dict[str, Any]:
    """What the catalogue says of a network without loading timm."""
    tags = [full.partition(".")[2] for full in timm.list_pretrained(f"{name}.*")]
    config = timm.get_pretrained_cfg(name)
    first = [config.tag] if config is not None and config.tag in tags else []
    classes = 1000 if config is None else config.num_classes or 1000
    return {"weights": list(dict.fromkeys([*first, *tags])), "classes": classes}


def _write(rows: dict[str, dict[str, Any]]) -> None:
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=TABLE.parent
    ).stdout.strip()
    told = {
        "format": FORMAT,
        "command": "python -m tests.sweep_timm",
        "seed": SEED,
        "commit": commit,
        "timm": timm.__version__,
        "torch": torch.__version__,
    }
    lines = ",\n".join(json.dumps(rows[name] | _weights(name)) for name in sorted(rows))
    head = json.dumps(told, indent=1).removesuffix("\n}")
    TABLE.write_text(f'{head},\n "networks": [\n{lines}\n]\n}}\n')


if __name__ == "__main__":
    sys.exit(main())
