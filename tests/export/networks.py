"""Networks that are pruned at random, to be exported."""

from __future__ import annotations

import torch
from torch import nn

from pruneviz.surgery import prune
from pruneviz.trace import trace
from tests.core.laws import random_plan, shake

BUNDLED = ("resnet20", "vgg16", "mobilenet_v2")
TORCHVISION = {
    "resnet18": 64,
    "densenet121": 64,
    "efficientnet_b0": 64,
    "googlenet": 64,
    "inception_v3": 299,
    "mnasnet0_5": 64,
    "mobilenet_v3_small": 64,
    "regnet_y_400mf": 64,
    "resnext50_32x4d": 64,
    "shufflenet_v2_x0_5": 64,
    "squeezenet1_1": 64,
    "convnext_tiny": 64,
}
TIMM = (
    "seresnet18",
    "resnet18d",
    "dla34",
    "ghostnet_100",
    "hrnet_w18_small",
    "mixnet_s",
    "repvgg_a0",
    "res2net50_14w_8s",
    "resnest14d",
    "rexnet_100",
    "skresnet18",
    "tf_mobilenetv3_small_100",
)


def pruned(name: str, seed: int = 0) -> tuple[nn.Module, tuple[int, int, int]]:
    """A network of the catalogue or of timm, shaken and without a random half of its units."""
    if name.startswith("timm/"):
        import timm

        size = 64
        model = timm.create_model(name.removeprefix("timm/"), pretrained=False)
    else:
        from pruneviz.catalog import load_model

        size = TORCHVISION.get(name, 32)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = load_model(name, "digits" if name in BUNDLED else None)
    shape = (3, size, size)
    graph = trace(shake(model), shape)
    return prune(model, graph, random_plan(graph, seed, most=0.7)).eval(), shape
