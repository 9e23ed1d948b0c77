// A small histogram for every layer: the untouched weights grey, what is shown now in colour. A click chooses one.
const WIDE = 120;
const HIGH = 34;

// Zeros of a pruned weight must not flatten all the rest.
function top(counts) {
  const [first, second] = [...counts].sort((a, b) => b - a);
  return Math.max(first <= 2 * second ? first : second, 1);
}

function outline(counts, limit) {
  const step = WIDE / counts.length;
  const line = counts.map((count, place) => {
    const y = (HIGH - HIGH * Math.min(count / limit, 1)).toFixed(1);
    return `L${(place * step).toFixed(1)},${y}H${((place + 1) * step).toFixed(1)}`;
  });
  return `M0,${HIGH}${line.join("")}V${HIGH}Z`;
}

export default {
  render({ model, el }) {
    el.classList.add("wb-histograms");
    const holder = document.createElement("div");
    holder.className = "wb-histograms-scroll";
    const tiles = new Map();

    const paint = (name) => {
      const { before, paths } = tiles.get(name);
      const after = model.get("after")[name];
      const limit = after ? Math.max(top(before), top(after)) : top(before);
      paths[0].setAttribute("d", outline(before, limit));
      paths[1].setAttribute("d", after ? outline(after, limit) : "");
    };

    const made = (row) => {
      const tile = document.createElement("button");
      tile.type = "button";
      tile.title = row.title;
      tile.dataset.name = row.name;
      const picture = document.createElementNS("http://www.w3.org/2000/svg", "svg");
      picture.setAttribute("viewBox", `0 0 ${WIDE} ${HIGH}`);
      picture.setAttribute("preserveAspectRatio", "none");
      picture.setAttribute("aria-hidden", "true");
      const paths = ["wb-before", "wb-after"].map((kind) => {
        const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
        path.setAttribute("class", kind);
        picture.append(path);
        return path;
      });
      tile.append(writeName(document.createElement("span"), row.name), picture);
      tile.addEventListener("click", (event) => {
        const now = model.get("selection");
        const several = event.ctrlKey || event.metaKey || event.shiftKey;
        const others = now.filter((name) => name !== row.name);
        const next = several ? (others.length < now.length ? others : [...now, row.name]) : [row.name];
        model.set("selection", next);
        model.save_changes();
      });
      tiles.set(row.name, { tile, before: row.before, paths });
      return tile;
    };

    const mark = () => {
      const chosen = new Set(model.get("selection"));
      for (const [name, { tile }] of tiles) {
        tile.classList.toggle("wb-chosen", chosen.has(name));
        tile.setAttribute("aria-pressed", String(chosen.has(name)));
      }
    };
    const fit = () => {
      const fits = matcher(filter.value);
      for (const [name, { tile }] of tiles) tile.hidden = !fits(name);
    };
    const repaint = () => [...tiles.keys()].forEach(paint);
    const draw = () => {
      tiles.clear();
      holder.replaceChildren(...model.get("rows").map(made));
      repaint();
      mark();
      fit();
    };

    const filter = filterBox(fit);
    el.append(filter, holder);
    draw();
    model.on("change:rows", draw);
    model.on("change:after", repaint);
    model.on("change:selection", mark);
    return () => {
      model.off("change:rows", draw);
      model.off("change:after", repaint);
      model.off("change:selection", mark);
    };
  },
};
