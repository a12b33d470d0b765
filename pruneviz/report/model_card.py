"""The model card: Markdown with the front matter that model hubs read."""

from __future__ import annotations

import json

from pruneviz.report.facts import Facts


def model_card(facts: Facts) -> str:
    """Return the card of an exported network; its accuracies are of the files themselves."""
    last = facts.stages[-1]
    low, high = last.interval
    cost = facts.cost
    lines = [
        "---",
        "library_name: pytorch",
        "pipeline_tag: image-classification",
        "tags:",
        "- image-classification",
        "- pruning",
        "- pruneviz",
        "model-index:",
        f"- name: {json.dumps(facts.title)}",
        "  results:",
        "  - task:",
        "      type: image-classification",
        "    dataset:",
        f"      name: {json.dumps(facts.data)}",
        f"      type: {json.dumps(facts.data)}",
        f"      split: {facts.split}",
        "    metrics:",
        "    - type: accuracy",
        f"      value: {last.accuracy:.4f}",
        "---",
        "",
        f"# {facts.title}",
        "",
        f"{facts.model} with {len(facts.plan)} of its {int(facts.plan.graph.prunable.sum())} "
        f"units pruned, {last.name}.",
        "",
        "| | unpruned | this network |",
        "|---|---:|---:|",
        f"| top-1 accuracy ({facts.split}, {last.count} images) | {facts.stages[0].accuracy:.2%} "
        f"| {last.accuracy:.2%} (95 %: {low:.2%} to {high:.2%}) |",
        f"| MACs per image | {cost.baseline_macs:,} | {cost.macs:,} |",
        f"| parameters | {cost.baseline_params:,} | {cost.params:,} |",
    ]
    if facts.latency is not None:
        before, after = facts.latency.timings[0].median, facts.latency.of("pruned").median
        lines.append(f"| latency, one image | {1e3 * before:.2f} ms | {1e3 * after:.2f} ms |")
    lines += ["", facts.seen, f"Measured with PyTorch on {facts.machine}.", ""]
    if facts.checks:
        lines += [
            "## Files",
            "",
            "Each file was loaded in a process without PruneViz; the accuracy is that of the "
            "file itself.",
            "",
            "| file | accuracy | images | note |",
            "|---|---:|---:|---|",
        ]
        for check in facts.checks.values():
            own = "" if check["accuracy"] is None else f"{check['accuracy']:.2%}"
            lines.append(f"| `{check['file']}` | {own} | {check['images']} | {check['note']} |")
        lines.append("")
    shape = ", ".join(map(str, facts.plan.graph.input_shape))
    lines += [
        "## Use",
        "",
        f"Images are floats of shape (N, {shape}), normalised by mean (0.485, 0.456, 0.406) and "
        "standard deviation (0.229, 0.224, 0.225).",
        "",
    ]
    if "python" in facts.checks:
        stem = str(facts.checks["python"]["file"]).removesuffix(".py")
        lines += ["```python", f"from {stem} import load", "", "scores = load()(images)", "```", ""]
    told = ", ".join(f"{name} {version}" for name, version in facts.versions.items())
    return "\n".join([*lines, f"Made with {told}.", ""])
