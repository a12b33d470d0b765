"""How soon the studio answers, in a real browser: sliders and pages of a large network.

``python -m tests.benchmarks.bench_interface`` starts a studio of its own, opens ResNet-50 with
half of every group's units dropped, and measures

- a slider: from the key press that moves it to the changed MACs on screen (a `MutationObserver`
  in the page; the sliders of the groups in turn, and the one for all groups),
- a switch of pages: from the click to the new page's own content on screen.

``--during-run`` does so while a fine-tuning run trains in the background. ``--repairs N`` measures
accuracies instead, N times: from a click on the slider for all groups to the instantly repaired
accuracy, and to the fully repaired one, on ResNet-20 and the 500 validation images of digits, or
another ``--network``.
``--clicks N`` measures the page Explain instead: from the click on a feature map of ResNet-20,
which prunes its filter, to the changed bars of the answer. Needs Chromium and
Playwright; prints median and 95th percentile in milliseconds.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
STARTED = "import sys; from pruneviz.commands.main import main; sys.exit(main())"

WATCH = """() => {
  const bar = () => document.querySelector('.pv-bar')?.innerText;
  const text = () => bar()?.match(/MACs\\s*([^\\s]+.[MGk]?)/)?.[0];
  let before = text(), pressed = null;
  window.answers = [];
  window.addEventListener('keydown', () => { pressed = performance.now(); before = text(); }, true);
  window.watch = new MutationObserver(() => {
    const now = text();
    if (pressed !== null && now && now !== before) {
      requestAnimationFrame(() => {
        if (pressed !== null) { window.answers.push(performance.now() - pressed); pressed = null; }
      });
    }
  });
  window.watch.observe(document.body, {subtree: true, childList: true, characterData: true});
}"""

WATCH_BARS = """() => {
  const bars = () => [...document.querySelectorAll('.st-key-explain_answers .bars path')]
    .map((path) => path.getAttribute('d')).join();
  let before = bars(), clicked = null;
  window.answers = [];
  window.addEventListener('click', () => { clicked = performance.now(); before = bars(); }, true);
  new MutationObserver(() => {
    const now = bars();
    if (clicked === null || !now || now === before) return;
    requestAnimationFrame(() => {
      if (clicked !== null) { window.answers.push(performance.now() - clicked); clicked = null; }
    });
  }).observe(document.body, {subtree: true, childList: true, attributes: true});
}"""

WATCH_WORTH = """() => {
  const bar = () => document.querySelector('.pv-bar')?.innerText ?? '';
  const macs = () => bar().match(/MACs\\s*([^\\s]+.[MGk]?)/)?.[0];
  const kind = () => bar().match(/Top-1, (instant repair|repaired), on/)?.[1];
  let before = macs(), pressed = null;
  window.worth = {};
  window.addEventListener('pointerup', () => {
    pressed = performance.now(); before = macs(); window.worth = {};
  }, true);
  new MutationObserver(() => {
    const now = kind();
    if (pressed === null || macs() === before || !now) return;
    window.worth[now] ??= performance.now() - pressed;
  }).observe(document.body, {subtree: true, childList: true, characterData: true});
}"""

CONTENT = {
    "Choose": "Prunable units",
    "Rank": "Each column is a layer",
    "Sensitivity": "Each group is pruned on its own",
    "Prune": "Pruning ratio, whole network",
    "Runs": "Applies the current plan",
    "Export": "Load it",
}


def main() -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", help="default: resnet50; with --repairs, resnet20")
    parser.add_argument("--repairs", type=int, help="only accuracies, so many times")
    parser.add_argument("--moves", type=int, default=40)
    parser.add_argument("--clicks", type=int, help="only feature maps of ResNet-20, so many times")
    parser.add_argument("--during-run", action="store_true", help="while a run trains")
    args = parser.parse_args()
    args.network = args.network or ("resnet20" if args.repairs else "resnet50")
    from playwright.sync_api import sync_playwright

    found = os.environ.get("PRUNEVIZ_CHROMIUM") or shutil.which("chromium") or "chromium"
    with tempfile.TemporaryDirectory() as home:
        server, address = start(home)
        try:
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(
                    executable_path=found, args=["--no-sandbox", "--disable-gpu"]
                )
                page = browser.new_page(viewport={"width": 1440, "height": 900})
                page.set_default_timeout(180_000)
                if args.clicks:
                    report("a feature map", click(page, address, home, args.clicks))
                elif args.repairs:
                    for kind, taken in repair(page, address, home, args).items():
                        report(kind, taken)
                else:
                    slide(page, address, home, args)
                browser.close()
        finally:
            server.terminate()
            server.wait(30)


def slide(page: Any, address: str, home: str, args: argparse.Namespace) -> None:
    """Sliders, then pages."""
    page.goto(f"{address}/prune?at={half_pruned(home, args.network)}")
    page.get_by_role("slider", name="Pruning ratio, whole network").first.wait_for()
    page.locator(".pv-bar").get_by_text("points").first.wait_for()
    if args.during_run:
        train(page)
    page.wait_for_timeout(3000)
    page.evaluate(WATCH)
    report("a group's slider", move(page, args.moves))
    report("the slider for all groups", move(page, args.moves // 2, everything=True))
    page.evaluate("window.watch.disconnect()")  # reading a text costs a layout
    for name, taken in switch(page).items():
        report(f"to the page {name}", taken)


def repair(page: Any, address: str, home: str, args: argparse.Namespace) -> dict[str, list[float]]:
    """Move the slider for all groups; return milliseconds until each kind of accuracy is there."""
    bundled = "digits" if args.network in ("resnet20", "vgg16", "mobilenet_v2") else None
    page.goto(f"{address}/prune?at={half_pruned(home, args.network, bundled)}")
    slider = page.get_by_role("slider", name="Pruning ratio, whole network").first
    slider.wait_for()
    bar = page.locator(".pv-bar")
    bar.get_by_text("Top-1, repaired, on").first.wait_for()  # what all plans share is there
    page.wait_for_timeout(3000)
    page.evaluate(WATCH_WORTH)
    taken: dict[str, list[float]] = {"instant repair": [], "repaired": []}
    slider.scroll_into_view_if_needed()
    track = slider.locator("xpath=ancestor::*[@data-orientation='horizontal']").first.bounding_box()
    for number in range(args.repairs):  # never to a plan that was measured before
        place = 0.2 + 0.6 * (number + 0.5) / args.repairs
        page.mouse.click(track["x"] + place * track["width"], track["y"] + track["height"] / 2)
        page.wait_for_function("window.worth['repaired'] !== undefined")
        page.wait_for_timeout(1000)
        for kind, value in page.evaluate("window.worth").items():
            taken[kind].append(value)
    return taken


def click(page: Any, address: str, home: str, count: int) -> list[float]:
    """Click feature maps of different layers; return milliseconds until the bars changed."""
    from pruneviz.jobs import RunStore
    from pruneviz.session.decisions import Subject
    from pruneviz.session.history import History
    from pruneviz.session.step_store import StepStore

    history = History.begin(Subject("resnet20", "digits", None, "digits"))
    StepStore(RunStore(home).database).save(history)
    page.goto(f"{address}/explain?at={history.current}")
    maps = page.locator(".st-key-explain_maps button:not([disabled])")
    maps.first.wait_for()
    page.locator(".st-key-explain_answers .js-plotly-plot").first.wait_for()
    page.wait_for_timeout(3000)
    page.evaluate(WATCH_BARS)
    stride = max(1, maps.count() // count)
    for number in range(count):
        done = page.evaluate("window.answers.length")
        maps.nth(number * stride).click()
        page.wait_for_function(f"window.answers.length > {done}")
        page.wait_for_timeout(1500)  # the repaired network's bar is drawn in between
    answers: list[float] = json.loads(page.evaluate("JSON.stringify(window.answers)"))
    return answers


def start(home: str) -> tuple[subprocess.Popen[str], str]:
    """Start a studio; return it and its address."""
    server = subprocess.Popen(
        [sys.executable, "-c", STARTED, "--headless", "--home", home],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONPATH": str(ROOT)},
    )
    assert server.stdout is not None
    for line in server.stdout:
        if found := re.search(r"PruneViz is at (http://\S+)", line):
            return server, found.group(1).rstrip("/")
    raise SystemExit("the studio did not start")


def half_pruned(home: str, network: str, weights: str | None = None) -> str:
    """Keep a step with half of every group's units dropped; return its name for the address."""
    from pruneviz.jobs import RunStore
    from pruneviz.session.decisions import Decisions, Subject, set_ratio
    from pruneviz.session.history import History
    from pruneviz.session.step_store import StepStore

    subject = Subject(network, weights, None, "digits")
    history = History.begin(subject).push(set_ratio(Decisions(criterion="l1", scope="group"), 0.5))
    StepStore(RunStore(home).database).save(history)
    return history.current


def train(page: Any) -> None:
    """Start a long fine-tuning run of the plan."""
    page.get_by_role("button", name="Fine-tune").first.click()
    page.get_by_role("spinbutton").first.fill("200")
    page.keyboard.press("Tab")
    page.get_by_role("button", name="Start").first.click()
    page.get_by_text("running", exact=True).first.wait_for()
    go_to(page, "Prune")


def move(page: Any, count: int, *, everything: bool = False) -> list[float]:
    """Move sliders one step each, by keyboard; return milliseconds until the MACs changed."""
    if everything:
        sliders = [page.get_by_role("slider", name="Pruning ratio, whole network").first]
    else:
        found = page.get_by_role("slider", name=re.compile(" of MACs"))
        sliders = [found.nth(i) for i in range(found.count())]
    for number in range(count):
        slider = sliders[number % len(sliders)]
        slider.scroll_into_view_if_needed()
        slider.focus()
        page.wait_for_timeout(250)
        done = page.evaluate("window.answers.length")
        for _ in range(5):  # a step of one percent may mean as many units, and change nothing
            page.keyboard.press("PageUp" if number // len(sliders) % 2 == 0 else "PageDown")
            end = time.monotonic() + 2
            while page.evaluate("window.answers.length") == done and time.monotonic() < end:
                page.wait_for_timeout(20)
            if page.evaluate("window.answers.length") > done:
                break
        page.wait_for_timeout(300)
    answers: list[float] = json.loads(page.evaluate("JSON.stringify(window.answers)"))
    page.evaluate("window.answers = []")
    return answers


def go_to(page: Any, name: str) -> float:
    """Go to a page by the navigation; return milliseconds until its content is there."""
    link = page.get_by_role("link", name=name, exact=True).first
    begun = time.perf_counter()
    link.click()
    page.get_by_role("heading", name=name, exact=True).wait_for()
    page.get_by_text(re.compile(CONTENT[name])).first.wait_for()
    return 1000 * (time.perf_counter() - begun)


def switch(page: Any) -> dict[str, list[float]]:
    """Go through the pages, the first round to warm up; return milliseconds by page."""
    names = ("Rank", "Sensitivity", "Prune", "Runs", "Export", "Choose")
    taken: dict[str, list[float]] = {name: [] for name in names}
    for number in range(4):
        for name in names:
            one = go_to(page, name)
            if number:
                taken[name].append(one)
            page.wait_for_timeout(800)
    return taken


def report(what: str, taken: Sequence[float]) -> None:
    """Print median and 95th percentile."""
    ordered = sorted(taken)
    if not ordered:
        print(f"{what}: nothing measured")
        return
    median = statistics.median(ordered)
    if len(ordered) < 10:
        print(f"{what}: median {median:.0f} ms, at most {ordered[-1]:.0f} ms ({len(ordered)})")
        return
    high = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
    print(f"{what}: median {median:.0f} ms, 95 % {high:.0f} ms ({len(ordered)})")


if __name__ == "__main__":
    main()
