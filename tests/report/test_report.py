"""The report, the share card and the model card tell what was measured, and need nothing else."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import pytest
from PIL import Image

import pruneviz as pv
from pruneviz.figures.stats import wilson
from pruneviz.latency import Latency, Timing
from pruneviz.report import Facts, Stage, gather, model_card, report_html, share_card


@pytest.fixture(scope="module")
def facts() -> Facts:
    model = pv.load_model("resnet20")
    graph = pv.trace(model, (3, 32, 32))
    plan = pv.Plan(graph).drop("layer1.0.conv1", range(6))
    per_class = tuple(k / 10 for k in range(10))
    stages = (
        Stage("unpruned", 0.987, 400, per_class),
        Stage("cut", 0.61, 400),
        Stage("repaired", 0.93, 400),
        Stage("fine-tuned", 0.975, 400, per_class[::-1]),
    )
    timings = (Timing("unpruned", (0.002,) * 5), Timing("pruned", (0.001,) * 5))
    check = {
        "file": "network.py",
        "note": "needs only torch",
        "difference": 1e-7,
        "images": 256,
        "accuracy": 0.9766,
        "milliseconds": 1.5,
    }
    return Facts(
        title="<net> & co",
        model="resnet20",
        data="digits",
        classes=tuple(f"class {k}" for k in range(10)),
        split="test",
        stages=stages,
        plan=plan,
        cost=pv.cost(graph, plan),
        latency=Latency(timings, (3, 32, 32), 1, 2),
        machine="a machine",
        versions={"torch": "2"},
        recipe='{"format": "x"}',
        seeds=("Fine-tuning drew with seed 7.",),
        checks={"python": check},
    )


def test_the_report_holds_all_and_fetches_nothing(facts: Facts) -> None:
    html = report_html(facts)
    without_scripts = re.sub(r"<script.*?</script>", "", html, flags=re.S)
    assert not re.findall(r"""(?:src|href)\s*=\s*["']""", without_scripts)
    assert not re.findall(r"<script[^>]+src=", html)
    assert html.count("plotly.js v") == 1  # the library's own first line
    assert "&lt;net&gt; &amp; co" in without_scripts
    assert "<net>" not in without_scripts
    text = without_scripts.replace("\N{NARROW NO-BREAK SPACE}", " ")
    for stage in facts.stages:
        low, high = wilson(stage.accuracy, stage.count)
        assert f"{100 * low:.1f} % to {100 * high:.1f} %" in text
    for said in (
        "held out from every decision",
        "seed 7",
        "a machine",
        facts.plan.digest,
        "2.00",
        "97.7 %",
    ):
        assert said in text


def test_images_that_decisions_saw_are_called_so(facts: Facts) -> None:
    seen = replace(facts, split="val")
    assert "no test images" in report_html(seen)
    assert "no test images" in model_card(seen)
    assert "validation" in seen.seen or "val" in seen.seen


def test_the_share_card_has_the_size_that_sites_ask_for(facts: Facts) -> None:
    with Image.open(io.BytesIO(share_card(facts))) as image:
        assert image.format == "PNG"
        assert image.size == (1200, 630)
        assert len(image.getcolors(1 << 20)) > 10
    assert share_card(replace(facts, title="long " * 60, latency=None))


def test_the_model_card_begins_with_front_matter(facts: Facts) -> None:
    yaml = pytest.importorskip("yaml")
    head = model_card(facts).split("---\n")[1]
    found = yaml.safe_load(head)
    assert found["pipeline_tag"] == "image-classification"
    result = found["model-index"][0]["results"][0]
    assert result["metrics"][0]["value"] == 0.975
    assert "97.66%" in model_card(facts)  # the file's own


def test_gathering_measures_the_networks_that_it_names() -> None:
    data = pv.load_dataset("digits")
    model = pv.load_model("resnet20", "digits")
    graph = pv.trace(model, (3, 32, 32))
    plan = pv.Plan(graph).drop("layer1.0.conv1", range(6))
    small = pv.prune(model, graph, plan)
    found = gather(model, graph, data, plan, small, name="ResNet-20", stage="cut", seconds=0)
    split = "test" if data.test is not None else "val"
    assert [s.name for s in found.stages] == ["unpruned", "cut"]
    assert found.stages[1].accuracy == pv.evaluate(small, data, split=split).accuracy
    assert found.split == split
    assert found.latency is None
