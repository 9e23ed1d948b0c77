// A table of texts. Numbers sort by their size, units counted in; the first column has names, which begin with digits at
// times. A third click on a header gives the first order back.
const SIZES = { n: 1e-9, µ: 1e-6, m: 1e-3, k: 1e3, M: 1e6, G: 1e9 };
const size = (text) => {
  const found = /^[~±]?\s*([+−-]?[\d.,]+)(?:\s*([nµmkMG])?(?:B|s|J)?(?=[\s,·]|$))?/.exec(text);
  const number = found ? Number(found[1].replaceAll(",", "").replace("−", "-")) * (SIZES[found[2]] ?? 1) : Number.NaN;
  return Number.isNaN(number) ? null : number;
};

export default {
  render({ model, el }) {
    el.classList.add("wb-data");
    const table = part("table", "wb-compared");
    const foot = part("div", "wb-data-foot");
    el.append(table, foot);
    let sorted = null;

    const ordered = () => {
      const rows = model.get("rows").map((cells, number) => ({ cells, number }));
      if (!sorted) return rows;
      const { column, down } = sorted;
      const way = down ? -1 : 1;
      const compare = (a, b) => {
        const [first, second] = [a.cells[column] ?? "", b.cells[column] ?? ""];
        const [x, y] = column ? [size(first), size(second)] : [null, null];
        if (x === null && y === null) return way * first.localeCompare(second, undefined, { numeric: true });
        // What is no number stands last, whichever way.
        return x === null ? 1 : y === null ? -1 : way * (x - y);
      };
      return rows.sort(compare);
    };
    const draw = () => {
      const [heads, strong] = [model.get("heads"), model.get("strong")];
      const any = model.get("rows").length > 0;
      table.replaceChildren();
      table.setAttribute("aria-label", model.get("name"));
      table.style.display = any ? "" : "none";
      const head = table.createTHead().insertRow();
      heads.forEach((title, column) => {
        const made = part("th", "");
        made.scope = "col";
        const now = sorted?.column === column ? sorted : null;
        made.setAttribute("aria-sort", !now ? "none" : now.down ? "descending" : "ascending");
        const button = part("button", "", now ? `${title} ${now.down ? "▾" : "▴"}` : title);
        button.type = "button";
        button.title = "a click sorts, a third one gives the first order back";
        button.addEventListener("click", () => {
          sorted = !now ? { column, down: column > 0 } : now.down === column > 0 ? { column, down: !now.down } : null;
          draw();
        });
        made.append(button);
        head.append(made);
      });
      const body = table.createTBody();
      for (const { cells, number } of ordered()) {
        const row = body.insertRow();
        row.classList.toggle("wb-differs", Boolean(strong[number]));
        cells.forEach((text, column) => {
          const made = part(column ? "td" : "th", "", text);
          if (!column) made.scope = "row";
          row.append(made);
        });
      }
      const said = part("span", "wb-hint", model.get("hint"));
      const save = csvButton(() => saveCsv([heads, ...ordered().map(({ cells }) => cells)], model.get("name").replaceAll(/\W+/g, "-")));
      foot.replaceChildren(said, ...(any ? [save] : []));
      foot.style.display = any || model.get("hint") ? "" : "none";
    };
    draw();
    model.on("change:rows change:heads change:hint change:strong", draw);
    return () => model.off("change:rows change:heads change:hint change:strong", draw);
  },
};
