"""The report: one HTML file that works without a network and prints to PDF."""

from __future__ import annotations

from html import escape
from typing import Any

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from pruneviz.figures import (
    ClassesInfo,
    CostsInfo,
    classes_figure,
    costs_figure,
    overview_figure,
    overview_info,
    style,
)
from pruneviz.figures.ribbon import kept_filters, ribbon_layout
from pruneviz.figures.ribbon_svg import ribbon_svg
from pruneviz.report.facts import Facts
from pruneviz.stages import group_title

_STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 "Source Sans 3", "Source Sans Pro", Helvetica, Arial, sans-serif;
  color: #24292f; background: #fff; max-width: 1000px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 2rem; line-height: 1.2; margin: 0 0 .25rem; }
h2 { font-size: 1.3rem; margin: 2.2rem 0 .4rem; }
p.lead { color: #57606a; margin-top: 0; }
dl.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(190px, 1fr)); gap: 1rem;
  margin: 1.5rem 0; }
dl.figures > div { border: 1px solid #d0d7de; border-radius: 8px; padding: .7rem 1rem; }
dt { color: #57606a; font-size: .9rem; }
dd { margin: 0; font-size: 1.5rem; font-weight: 600; }
dd small { display: block; font-size: .85rem; font-weight: 400; color: #57606a; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .3rem .6rem; border-bottom: 1px solid #d8dee4; }
th:first-child, td:first-child, table.text td, table.text th { text-align: left; }
thead th { color: #57606a; font-weight: 600; }
pre { background: #f6f8fa; padding: 1rem; border-radius: 8px; overflow-x: auto; font-size: .8rem;
  white-space: pre-wrap; overflow-wrap: anywhere; }
@media print {
  body { margin: 0; max-width: none; font-size: 11pt; }
  figure, table, dl { break-inside: avoid; }
  h2 { break-after: avoid; }
}
figure { margin: 0; }
"""


def report_html(facts: Facts) -> str:
    """Return the report as one HTML page; figures are interactive, nothing is fetched."""
    sections = [
        _head(facts),
        _numbers(facts),
        _section("Accuracy", _stages(facts), _figure(_stages_figure(facts)), facts.seen),
        _section("What was pruned", _ribbon(facts) + _groups(facts), _figure(_overview(facts))),
        _section("Cost by layer", "", _figure(_costs(facts))),
        _classes(facts),
        _latency(facts),
        _files(facts),
        _made(facts),
    ]
    body = "\n".join(filter(None, sections))
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(facts.title)}</title>\n<style>{_STYLE}</style>\n"
        f"<script>{get_plotlyjs()}</script>\n</head>\n<body>\n<main>\n{body}\n</main>\n</body>\n"
        "</html>\n"
    )


def _section(title: str, table: str, figure: str, note: str = "") -> str:
    told = f"<p>{escape(note)}</p>" if note else ""
    return f"<section>\n<h2>{escape(title)}</h2>\n{told}{table}\n{figure}\n</section>"


def _figure(figure: Any) -> str:
    # A white ground of its own: what is transparent on a screen prints as it likes.
    figure.update_layout(paper_bgcolor="white", plot_bgcolor="white")
    inner = figure.to_html(
        full_html=False, include_plotlyjs=False, config={"displaylogo": False, "responsive": True}
    )
    return f"<figure>{inner}</figure>"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _table(columns: list[str], rows: list[list[str]], *, text: bool = False) -> str:
    kind = ' class="text"' if text else ""
    head = "".join(f'<th scope="col">{escape(c)}</th>' for c in columns)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>\n" for row in rows
    )
    return (
        f'<div class="scroll"><table{kind}><thead><tr>{head}</tr></thead>\n'
        f"<tbody>{body}</tbody></table></div>"
    )


def _head(facts: Facts) -> str:
    return (
        f"<h1>{escape(facts.title)}</h1>\n<p class='lead'>{escape(facts.model)} on "
        f"{escape(facts.data)}; {len(facts.plan)} of {int(facts.plan.graph.prunable.sum())} "
        "units pruned.</p>"
    )


def _numbers(facts: Facts) -> str:
    first, last = facts.stages[0], facts.stages[-1]
    low, high = last.interval
    cost = facts.cost
    boxes = [
        (
            f"Accuracy, {last.name}",
            style.percent(last.accuracy),
            f"95 %: {style.percent(low)} to {style.percent(high)}, {last.count} images; "
            f"unpruned {style.percent(first.accuracy)}",
        ),
        ("MACs per image", style.si(cost.macs), style.change(cost.macs, cost.baseline_macs)),
        ("Parameters", style.si(cost.params), style.change(cost.params, cost.baseline_params)),
    ]
    if facts.latency is not None:
        after = facts.latency.of("pruned")
        faster = facts.latency.speedup("pruned")
        boxes.append(
            ("Latency", f"{1e3 * after.median:.2f} ms", f"{faster:.2f} times as fast, one image")
        )
    inner = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}<small>{escape(note)}</small></dd></div>"
        for name, value, note in boxes
    )
    return f'<dl class="figures">{inner}</dl>'


def _stages(facts: Facts) -> str:
    rows = []
    for stage in facts.stages:
        low, high = stage.interval
        rows.append(
            [
                stage.name,
                style.percent(stage.accuracy),
                f"{style.percent(low)} to {style.percent(high)}",
                str(stage.count),
            ]
        )
    return _table(["Network", "Top-1 accuracy", "95 % interval", "Images"], rows)


def _stages_figure(facts: Facts) -> Any:
    figure = style.new_figure(False, 90 + 44 * len(facts.stages), showlegend=False)
    stages = facts.stages[::-1]
    figure.add_trace(
        go.Scatter(
            x=[s.accuracy for s in stages],
            y=[s.name for s in stages],
            mode="markers",
            marker={"size": 11, "color": style.kept_colour(False)},
            error_x={
                "type": "data",
                "symmetric": False,
                "array": [s.interval[1] - s.accuracy for s in stages],
                "arrayminus": [s.accuracy - s.interval[0] for s in stages],
            },
            hovertemplate="<b>%{y}</b><br>%{x:.2%}<extra></extra>",
        )
    )
    figure.update_xaxes(title_text="top-1 accuracy", tickformat=".0%", range=[-0.02, 1.02])
    return figure


def _overview(facts: Facts) -> Any:
    return overview_figure(overview_info(facts.plan.graph, None, facts.plan.kept))


def _ribbon(facts: Facts) -> str:
    graph = facts.plan.graph
    kept = kept_filters(graph, facts.plan.kept)
    return f'<div class="scroll">{ribbon_svg(ribbon_layout(graph), kept).text}</div>'


def _groups(facts: Facts) -> str:
    graph, gone = facts.plan.graph, facts.plan.by_group()
    rows = [
        [
            group_title(graph, group.name),
            str(group.width),
            str(group.width - len(gone.get(group.name, ()))),
            f"{len(gone.get(group.name, ())) / group.width:.0%}",
            str(len(group.layers)),
        ]
        for group in graph.prunable_groups
    ]
    table = _table(["Group", "Units", "Left", "Removed", "Layers"], rows)
    if len(rows) <= 12:
        return table
    return f"<details><summary>All {len(rows)} groups</summary>{table}</details>"


def _costs(facts: Facts) -> Any:
    cost = facts.cost
    return costs_figure(CostsInfo("MACs", cost.layers, cost.baseline_layer_macs, cost.layer_macs))


def _classes(facts: Facts) -> str:
    first, last = facts.stages[0], facts.stages[-1]
    known = [
        i
        for i in range(len(facts.classes))
        if first.per_class and first.per_class[i] == first.per_class[i]
    ]
    if not known:
        return ""
    worst = sorted(known, key=lambda i: last.per_class[i] - first.per_class[i])[:50]
    info = ClassesInfo(
        tuple(facts.classes[i] for i in worst),
        tuple(first.per_class[i] for i in worst),
        tuple(last.per_class[i] for i in worst),
    )
    few = len(worst) < len(known)
    note = f"The {len(worst)} of {len(known)} classes that lost the most accuracy." if few else ""
    return _section("Change by class", "", _figure(classes_figure(info)), note)


def _latency(facts: Facts) -> str:
    if facts.latency is None:
        return ""
    timed = facts.latency
    rows = [
        [
            t.name,
            f"{1e3 * t.median:.3f}",
            f"{1e3 * t.low:.3f} to {1e3 * t.high:.3f}",
            f"{timed.speedup(t.name):.2f}",
            str(len(t.seconds)),
        ]
        for t in timed.timings
    ]
    columns = ["Network", "Median (ms)", "Quartiles (ms)", "Speedup", "Passes"]
    note = (
        f"PyTorch on {facts.machine}; {_count(timed.threads, 'thread')}, "
        f"{_count(timed.batch_size, 'image')} per pass. {timed.warning} {timed.disturbance}"
    )
    return _section("Latency", _table(columns, rows), "", note.strip())


def _files(facts: Facts) -> str:
    if not facts.checks:
        return ""
    rows = [
        [
            str(check["file"]),
            format,
            "" if check["difference"] is None else f"{check['difference']:.1e}",
            "" if check["accuracy"] is None else style.percent(check["accuracy"]),
            "" if check["milliseconds"] is None else f"{check['milliseconds']:.3f}",
            str(check["note"]),
        ]
        for format, check in facts.checks.items()
    ]
    columns = ["File", "Format", "Difference", "Accuracy of the file", "ms per image", "Note"]
    note = (
        "Each file was loaded in a process that cannot import PruneViz, and its outputs were "
        "compared with the network's (largest difference, as a fraction of the largest output)."
    )
    return _section("Files", _table(columns, rows, text=True), "", note)


def _made(facts: Facts) -> str:
    told = ", ".join(f"{name} {version}" for name, version in facts.versions.items())
    seeds = "".join(f"<li>{escape(seed)}</li>" for seed in facts.seeds)
    parts = [
        f"<section>\n<h2>How it was made</h2>\n<p>{escape(told)}; {escape(facts.machine)}. "
        f"Plan {facts.plan.digest}, network {facts.plan.graph.digest}.</p>"
    ]
    if seeds:
        parts.append(f"<p>Random seeds:</p><ul>{seeds}</ul>")
    if facts.recipe:
        parts.append(
            "<p>The recipe: save it as recipe.json and run "
            "<code>pruneviz apply recipe.json --out folder</code>.</p>"
            f"<pre>{escape(facts.recipe)}</pre>"
        )
    return "\n".join([*parts, "</section>"])
