// Draws what the Python side tells, and tells it what a hand moves. No library, nothing fetched.
const SVG = "http://www.w3.org/2000/svg";
const BOX = { left: 44, right: 24, top: 8, bottom: 34, width: 420, height: 260 };

function make(kind, attributes = {}, ...inside) {
  const made = document.createElement(kind);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...inside);
  return made;
}

function draw(kind, attributes, text) {
  const made = document.createElementNS(SVG, kind);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

const percent = (share) => `${(100 * share).toFixed(1)} %`;

function large(number) {
  for (const [size, sign] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]])
    if (number >= size) return `${(number / size).toPrecision(3)} ${sign}`;
  return `${number}`;
}

const MOVES = ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End", "PageUp", "PageDown"];
const PRESSES = ["Enter", " "];

// A notebook listens to keys before the page's elements do, and takes arrows for moving between
// cells. So keys that a slider, a button or a point uses end here; all others stay the notebook's.
function keepKeys(widget) {
  const keep = (event) => {
    const target = event.composedPath()[0];
    if (!widget.contains(target) || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey)
      return;
    if (!(target.matches("input") ? MOVES : PRESSES).includes(event.key)) return;
    event.stopPropagation(); // what the browser itself does with the key still happens
    if (!target.matches(".pv-point")) return;
    event.preventDefault();
    if (event.type === "keydown") target.dispatchEvent(new Event("click"));
  };
  for (const kind of ["keydown", "keyup"]) window.addEventListener(kind, keep, true);
  return () => {
    for (const kind of ["keydown", "keyup"]) window.removeEventListener(kind, keep, true);
  };
}

function slider(label, value) {
  const input = make("input", { type: "range", min: 0, max: 100, step: 1, "aria-label": label });
  input.value = Math.round(100 * value);
  return input;
}

function render({ model, el }) {
  const all = slider("Pruning ratio, whole network", model.get("ratio"));
  const share = make("span");
  const rows = make("div", { class: "pv-groups" });
  const facts = make("div", { class: "pv-facts" });
  const error = make("div", { class: "pv-error", role: "status" });
  const undo = make("button", { type: "button" }, "Undo");
  const redo = make("button", { type: "button" }, "Redo");
  const plot = draw("svg", {
    viewBox: `0 0 ${BOX.width} ${BOX.height}`,
    role: "group",
    "aria-label": "Accuracy against MACs of visited plans",
  });
  const first = make("div", { class: "pv-row pv-all" }, make("label", {}, "Whole network"), all, share);
  const widget = make(
    "div",
    { class: "pv-explore" },
    make("div", { class: "pv-left" }, first, rows),
    make("div", { class: "pv-right" }, facts, error, make("div", {}, undo, redo), plot),
  );
  el.append(widget);
  const giveKeys = keepKeys(widget);
  const focused = () => el.getRootNode().activeElement;

  const tell = (name, value) => {
    model.set(name, value);
    model.save_changes();
  };
  let count = 0;
  const ask = (wanted) => tell("asked", { ...wanted, count: ++count });
  const without = (name) => {
    const { [name]: _gone, ...others } = model.get("ratios");
    return others;
  };
  // "input" while the hand moves: the costs follow; Python keeps only the last accuracy asked for.
  all.addEventListener("input", () => tell("ratio", all.value / 100));
  undo.addEventListener("click", () => ask({ do: "undo" }));
  redo.addEventListener("click", () => ask({ do: "redo" }));

  const sliders = new Map();
  function showGroups() {
    for (const group of model.get("groups")) {
      if (!sliders.has(group.name)) {
        const input = slider(group.name, group.ratio);
        const label = make("label", { title: group.name }, group.name);
        const told = make("span");
        const row = make("div", { class: "pv-row" }, label, input, told);
        input.addEventListener("input", () =>
          tell("ratios", { ...model.get("ratios"), [group.name]: input.value / 100 }),
        );
        label.addEventListener("click", () => tell("ratios", without(group.name)));
        sliders.set(group.name, { row, input, label, told });
        rows.append(row);
      }
      const { row, input, label, told } = sliders.get(group.name);
      const own = group.name in model.get("ratios");
      if (focused() !== input || !own) input.value = Math.round(100 * group.ratio);
      row.classList.toggle("pv-own", own);
      label.title = own ? `${group.name}: click to follow the whole network again` : group.name;
      told.textContent = `${group.left} of ${group.width}`;
    }
  }

  function showRatio() {
    if (focused() !== all) all.value = Math.round(100 * model.get("ratio"));
    share.textContent = percent(model.get("ratio"));
  }

  function fact(name, value, beside) {
    return make("div", {}, make("small", {}, name), make("b", {}, value), make("small", {}, beside));
  }

  function showState() {
    const s = model.get("state");
    const accuracy = s.accuracy === null ? "…" : percent(s.accuracy);
    facts.replaceChildren(
      fact("MACs", large(s.macs), `${percent(s.macs / s.baseline_macs)} left`),
      fact("Parameters", large(s.params), `${percent(s.params / s.baseline_params)} left`),
      fact(
        `Accuracy${s.kind ? `, ${s.kind}` : ""}`,
        accuracy,
        s.cut === null || !s.pruned ? `${s.images} images` : `${percent(s.cut)} before repair`,
      ),
    );
    error.textContent = s.error;
    undo.disabled = !s.undo;
    redo.disabled = !s.redo;
    showPoints();
  }

  function showPoints() {
    const points = model.get("points");
    const now = model.get("state");
    const x = (macs) => BOX.left + macs * (BOX.width - BOX.left - BOX.right);
    const y = (accuracy) => BOX.height - BOX.bottom - accuracy * (BOX.height - BOX.top - BOX.bottom);
    const shown = [];
    let held = null;
    for (const tick of [0, 0.25, 0.5, 0.75, 1]) {
      shown.push(draw("line", { x1: x(0), x2: x(1), y1: y(tick), y2: y(tick) }));
      const side = { x: x(0) - 6, y: y(tick) + 4, "text-anchor": "end" };
      shown.push(draw("text", side, `${100 * tick} %`));
      const below = { x: x(tick), y: BOX.height - BOX.bottom + 15, "text-anchor": "middle" };
      shown.push(draw("text", below, `${100 * tick} %`));
    }
    const middle = { x: x(0.5), y: BOX.height - 3, "text-anchor": "middle" };
    shown.push(draw("text", middle, "MACs left"));
    for (const point of points) {
      const same = Math.abs(point.macs - now.macs / now.baseline_macs) < 1e-9;
      const dot = draw("circle", {
        class: `pv-point${same ? " pv-now" : ""}`,
        cx: x(point.macs),
        cy: y(point.accuracy),
        r: same ? 6 : 4,
        tabindex: 0,
        role: "button",
        "aria-label": point.label,
      });
      if (focused()?.dataset.step === point.step) held = dot;
      dot.dataset.step = point.step;
      dot.append(draw("title", {}, `${point.label}: ${percent(point.accuracy)}`));
      dot.addEventListener("click", () => ask({ do: "go", step: point.step }));
      shown.push(dot);
    }
    plot.replaceChildren(...shown);
    held?.focus(); // drawn anew, the focused point stays focused
  }

  const shows = { ratio: showRatio, groups: showGroups, state: showState, points: showPoints };
  for (const [name, show] of Object.entries(shows)) {
    model.on(`change:${name}`, show);
    show();
  }
  return () => {
    giveKeys();
    for (const [name, show] of Object.entries(shows)) model.off(`change:${name}`, show);
  };
}

export default { render };
