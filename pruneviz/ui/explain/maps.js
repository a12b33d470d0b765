// Feature maps as small pictures, a row per layer; a click on one prunes its filter, or keeps it again.
// Built once for an image and its rows; afterwards the pictures are drawn anew where they are.
class Maps {
  constructor(root) { this.root = root; this.rows = []; this.layout = null; }

  show(data, send) {
    this.send = send;
    this.root.style.setProperty("--mp-gone", data.gone);
    const rows = data.rows.map((row) => [row.layer, row.filters, row.width, row.height, row.more, row.open]);
    const layout = JSON.stringify([data.layout, rows]);
    if (this.layout !== layout) this.build(data, layout);
    data.rows.forEach((row, r) => this.fill(this.rows[r], row, data.signed));
  }

  build(data, layout) {
    this.layout = null;
    this.root.replaceChildren();
    this.rows = data.rows.map((row) => {
      const line = document.createElement("div");
      line.className = "row";
      const name = document.createElement("div");
      name.className = "name";
      name.textContent = "\u200e" + row.layer;
      name.title = row.layer;
      const tiles = document.createElement("div");
      tiles.className = "tiles";
      const made = row.filters.map((filter) => {
        const button = document.createElement("button");
        button.type = "button";
        button.disabled = !row.open;
        const canvas = document.createElement("canvas");
        canvas.width = row.width;
        canvas.height = row.height;
        button.append(canvas);
        button.onclick = () => this.send("filter", `${row.layer} ${filter}`);
        tiles.append(button);
        return { button, canvas, bytes: null };
      });
      if (row.more) {
        const more = document.createElement("span");
        more.className = "more";
        more.textContent = `and ${row.more} weaker`;
        tiles.append(more);
      }
      line.append(name, tiles);
      this.root.append(line);
      return made;
    });
    this.layout = layout;
  }

  fill(tiles, row, signed) {
    const bytes = Uint8Array.from(atob(row.bytes), (c) => c.charCodeAt(0));
    const size = row.width * row.height;
    tiles.forEach(({ button, canvas }, i) => {
      const gone = row.gone[i];
      button.classList.toggle("gone", gone);
      const what = `${row.layer}, filter ${row.filters[i]}${gone ? ", pruned" : ""}`;
      button.setAttribute("aria-label", what);
      button.setAttribute("aria-pressed", String(gone));
      button.title = row.open ? `${what}. Click to ${gone ? "keep" : "prune"} it.` : `${what}. It ${row.reason}.`;
      const context = canvas.getContext("2d"), picture = context.createImageData(row.width, row.height);
      for (let p = 0; p < size; p++) {
        const value = bytes[i * size + p], at = 4 * p;
        if (signed) {
          const d = (value - 128) / 127, weak = 255 * (1 - Math.abs(d));
          picture.data[at] = d > 0 ? 213 + weak * 42 / 255 : weak;
          picture.data[at + 1] = d > 0 ? 94 + weak * 161 / 255 : 114 + weak * 141 / 255;
          picture.data[at + 2] = d > 0 ? weak : 178 + weak * 77 / 255;
        } else picture.data[at] = picture.data[at + 1] = picture.data[at + 2] = value;
        picture.data[at + 3] = 255;
      }
      context.putImageData(picture, 0, 0);
    });
  }
}

const shown = new WeakMap();

export default function (component) {
  const root = component.parentElement.querySelector(".mp");
  if (!shown.has(root)) shown.set(root, new Maps(root));
  shown.get(root).show(component.data, component.setTriggerValue);
}
