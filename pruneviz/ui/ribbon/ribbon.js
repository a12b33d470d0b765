// Draws the ribbon that Python has laid out. Called again with every change of its data:
// the picture is built once a layout, and a slider only moves the heights of its bars.
const SVG = "http://www.w3.org/2000/svg";
const ARCS = 32, BARS = 66, MARGIN = 6;
const WIDEST = 6; // pixels a unit: a network of three layers need not fill the page

function make(name, attributes, parent) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (parent) parent.appendChild(element);
  return element;
}

class Ribbon {
  constructor(root) {
    this.root = root;
    this.scroll = root.querySelector(".rb-scroll");
    this.text = root.querySelector(".rb-text");
    this.legend = root.querySelector(".rb-legend");
    this.button = root.querySelector("button");
    this.button.onclick = () => this.send("folds", this.data.folds.some((f) => f.folded) ? "open" : "close");
    this.observer = new ResizeObserver(() => this.fit());
    this.observer.observe(this.scroll);
  }

  show(data, send) {
    const fresh = !this.data || this.data.layout !== data.layout;
    this.data = data;
    this.send = send;
    if (fresh) this.build();
    this.update();
  }

  scale() {
    const room = this.scroll.clientWidth - 2 * MARGIN;
    return Math.max(0.95, Math.min(WIDEST, room / this.data.width));
  }

  type() {
    return parseFloat(getComputedStyle(document.documentElement).fontSize) / 16;
  }

  fit() {
    if (this.data && (Math.abs(this.scale() - this.drawn) > 0.01 || this.type() !== this.typed)) {
      this.build();
      this.update();
    }
  }

  build() {
    const { bars, arcs, stages, folds, width } = this.data;
    const s = (this.drawn = this.scale());
    const type = (this.typed = this.type()); // larger in a presentation
    const high = ARCS + BARS + 16 * type;
    const held = this.root.getRootNode().activeElement;
    const refocus = held && held.classList.contains("bar") ? held.dataset.layer : null;
    this.scroll.replaceChildren();
    const svg = make("svg", {
      width: width * s + 2 * MARGIN, height: high,
      viewBox: `${-MARGIN} 0 ${width * s + 2 * MARGIN} ${high}`,
      role: "listbox", "aria-orientation": "horizontal",
    }, this.scroll);
    this.svg = svg;
    this.arcs = arcs.map((arc) => {
      const y0 = ARCS + BARS * (1 - arc.h0) - 2, y1 = ARCS + BARS * (1 - arc.h1) - 2;
      const x0 = arc.x0 * s, x1 = arc.x1 * s;
      const rise = Math.max(-8, Math.min(y0, y1) - 8 - Math.min(40, (x1 - x0) / 3));
      return make("path", {
        class: "arc", "stroke-width": arc.kind === "reads" ? 0.9 : 1.6, "aria-hidden": "true",
        ...(arc.kind === "multiplies" ? { "stroke-dasharray": "3 2" } : {}),
        d: `M${x0} ${y0}C${x0} ${rise} ${x1} ${rise} ${x1} ${y1}`,
      }, svg);
    });
    this.bars = bars.map((bar, i) => {
      const group = make("g", {
        class: bar.closed ? "bar closed" : "bar", role: "option", "aria-selected": "false",
        tabindex: "-1", "data-layer": bar.layer,
      }, svg);
      const place = { x: bar.x * s, width: Math.max(1, bar.width * s) };
      make("rect", { class: "hit", x: place.x - 1, y: 2, width: place.width + 2, height: ARCS + BARS }, group);
      const gone = make("rect", { class: "gone", ...place }, group);
      const left = make("rect", { class: "left", ...place }, group);
      group.onpointerenter = () => this.light(i);
      group.onpointerleave = () => this.light(-1);
      group.onfocus = () => this.light(i);
      group.onblur = () => this.light(-1);
      group.onclick = () => this.choose(i);
      group.onkeydown = (event) => this.key(event, i);
      return { group, gone, left };
    });
    for (const stage of stages) {
      const y = ARCS + BARS + 3;
      make("path", { class: "stage", d: `M${stage.x * s} ${y}h${stage.width * s}` }, svg);
      const room = stage.width * s + 14;
      const text = make("text", { x: stage.x * s, y: y + 11 * type, "aria-hidden": "true" }, svg);
      text.textContent = stage.label.length * 6 * type <= room ? stage.label : stage.label.replace("stage ", "");
    }
    const foldable = folds.some((f) => f.last > f.first);
    this.button.hidden = !foldable;
    this.button.textContent = folds.some((f) => f.folded) ? "Unfold all blocks" : "Fold blocks";
    const again = refocus === null ? -1 : bars.findIndex((b) => b.layer === refocus);
    if (again >= 0) this.bars[again].group.focus();
  }

  update() {
    const { bars, kept, colours, selected, title, legend } = this.data;
    this.svg.setAttribute("aria-label", title);
    bars.forEach((bar, i) => {
      const { group, gone, left } = this.bars[i];
      const whole = BARS * bar.height, inner = whole * Math.sqrt(kept[i] / bar.filters);
      const top = ARCS + BARS - whole;
      gone.setAttribute("y", top);
      gone.setAttribute("height", whole - inner);
      gone.setAttribute("fill", colours.dropped);
      left.setAttribute("y", top + whole - inner);
      left.setAttribute("height", inner);
      left.setAttribute("fill", colours.layers[i] ?? (bar.closed ? colours.closed : colours.kept));
      group.setAttribute("aria-label", this.say(i));
      group.setAttribute("aria-selected", String(i === selected));
      group.classList.toggle("chosen", i === selected);
    });
    this.legend.hidden = !legend;
    if (legend) {
      const [label, low, high] = this.legend.querySelectorAll("span");
      [label.textContent, low.textContent, high.textContent] = legend.texts;
      this.legend.querySelector("i").style.background = `linear-gradient(90deg, ${legend.colours.join(", ")})`;
    }
    const start = selected >= 0 ? selected : 0;
    if (!this.bars.some((b) => b.group.getAttribute("tabindex") === "0")) {
      this.bars[start].group.setAttribute("tabindex", "0");
    }
    this.light(this.lit ?? -1);
  }

  say(i) {
    const bar = this.data.bars[i], pruned = bar.filters - this.data.kept[i];
    const parts = [`${bar.layer}: ${bar.filters} filters, ${pruned} pruned`];
    if (this.data.notes[i]) parts.push(this.data.notes[i]);
    if (bar.closed) parts.push(`cannot be pruned: it ${bar.closed}`);
    else if (bar.coupled.length) {
      parts.push(`coupled with ${bar.coupled.length} layer${bar.coupled.length > 1 ? "s" : ""} (${bar.group})`);
    }
    const fold = this.data.folds[bar.fold];
    if (fold.folded) parts.push(`in the folded block ${fold.name}`);
    return parts.join(" · ");
  }

  light(i) {
    this.lit = i;
    this.svg.classList.toggle("lighting", i >= 0);
    const { bars, arcs, title } = this.data;
    const lit = new Set(i < 0 ? [] : [i, ...bars[i].coupled]);
    this.bars.forEach((b, at) => b.group.classList.toggle("lit", lit.has(at)));
    this.arcs.forEach((a, at) => a.classList.toggle("lit", lit.has(arcs[at].source) && lit.has(arcs[at].target)));
    this.text.textContent = i < 0 ? `${title}. Point at a layer to see what is coupled with it.` : this.say(i);
    this.text.title = this.text.textContent;
  }

  choose(i) {
    const bar = this.data.bars[i], fold = this.data.folds[bar.fold];
    if (fold.folded) this.send("folds", fold.name);
    else if (!bar.closed) this.send("layer", bar.layer);
  }

  key(event, i) {
    const last = this.bars.length - 1;
    const to = { ArrowRight: Math.min(last, i + 1), ArrowLeft: Math.max(0, i - 1), Home: 0, End: last }[event.key];
    if (event.key === "Enter" || event.key === " ") this.choose(i);
    else if (to === undefined) return;
    else {
      this.bars.forEach((b, at) => b.group.setAttribute("tabindex", at === to ? "0" : "-1"));
      this.bars[to].group.focus();
    }
    event.preventDefault();
    event.stopPropagation();
  }
}

const shown = new WeakMap();

export default function (component) {
  const { parentElement, data, setTriggerValue } = component;
  const root = parentElement.querySelector(".rb");
  if (!shown.has(root)) shown.set(root, new Ribbon(root));
  shown.get(root).show(data, setTriggerValue);
  return () => {
    shown.get(root)?.observer.disconnect();
    shown.delete(root);
  };
}
