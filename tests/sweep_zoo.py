"""The laws over all of torchvision's classification CNNs.

    python -m tests.sweep_zoo [name ...]

Too long for the test suite (about half an hour on two cores): one network after the other, two
random plans each, a line a network. Transformers must be refused. Exit status 1 if any law fails.
"""

from __future__ import annotations

import sys
import time
import warnings

import torch
import torchvision

from pruneviz.errors import TraceError
from pruneviz.trace import trace
from tests.core.laws import check_laws, random_plan, shake

SIZES = {"inception_v3": 299, "maxvit_t": 224, "vit": 224, "swin": 224}
NO_CNN = ("vit", "swin")


def sweep(name: str) -> str:
    size = next((s for prefix, s in SIZES.items() if name.startswith(prefix)), 64)
    torch.manual_seed(0)
    options = {"image_size": 384} if name in ("vit_b_16_384", "vit_l_16_384") else {}
    model = shake(torchvision.models.get_model(name, weights=None, **options))
    start = time.perf_counter()
    try:
        graph = trace(model, (3, size, size))
    except TraceError as error:
        if name.startswith(NO_CNN):
            return f"refused: {error}"
        raise
    if name.startswith(NO_CNN):
        raise AssertionError("is not a CNN and was accepted")
    seconds = time.perf_counter() - start
    images = torch.randn(2, 3, size, size)
    for seed in range(2):
        check_laws(model, graph, random_plan(graph, seed), images)
    free = sum(x.prunable for x in graph.layers)
    layers = f"{free}/{len(graph.layers)} layers prunable"
    return f"{graph.num_units:6d} units, {layers}, traced in {seconds:.2f} s"


def main(names: list[str]) -> int:
    warnings.simplefilter("ignore")
    wanted = names or torchvision.models.list_models(module=torchvision.models)
    failed = 0
    for name in wanted:
        try:
            print(f"{name:22s} {sweep(name)}", flush=True)
        except Exception as error:
            failed += 1
            print(f"{name:22s} FAILED {type(error).__name__}: {error}", flush=True)
    print(f"{len(wanted) - failed} networks pass, {failed} fail")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
