// The layer table: filter by glob, choose one or several rows by mouse or keyboard.
const HEADS = ["layer", "kind", "shape", "params", "MACs", "kept", "bits"];
const EXPLAIN = {
  shape: "sizes of the weight", params: "weight and bias", MACs: "multiply-accumulates for one sample",
  kept: "part of the untouched layer's weights that is there and not zero", bits: "that a weight takes in the file",
};

export default {
  render({ model, el }) {
    el.classList.add("wb-layers");
    const holder = document.createElement("div");
    holder.className = "wb-layers-scroll";
    const table = document.createElement("table");
    table.setAttribute("role", "grid");
    table.setAttribute("aria-multiselectable", "true");
    holder.append(table);
    const foot = document.createElement("div");
    foot.className = "wb-layers-foot";
    let anchor = null;

    // A key typed into the filter waits for the next frame.
    let waiting = 0;
    const filter = filterBox(() => {
      cancelAnimationFrame(waiting);
      waiting = requestAnimationFrame(() => draw());
    });

    const shown = () => [...table.querySelectorAll("tbody tr")].map((row) => row.dataset.name);
    let sorted = {};
    const ordered = () => {
      const { column, down } = sorted;
      if (column === undefined) return model.get("rows");
      const compare = (a, b) => (typeof a === "number" ? a - b : String(a).localeCompare(String(b), undefined, { numeric: true }));
      return [...model.get("rows")].sort((a, b) => (down ? -1 : 1) * compare(a.sort[column], b.sort[column]));
    };
    const save = () =>
      saveCsv([HEADS, ...ordered().map((row) => row.sort.map((value, column) => (column === 2 ? row.shape : value)))], "layers");

    const choose = (names) => {
      model.set("selection", names);
      model.save_changes();
    };

    const pick = (name, event) => {
      const now = model.get("selection");
      if (event.shiftKey && anchor) {
        const order = shown();
        const [low, high] = [order.indexOf(anchor), order.indexOf(name)].sort((a, b) => a - b);
        choose(order.slice(Math.max(low, 0), high + 1));
        return;
      }
      anchor = name;
      if (event.ctrlKey || event.metaKey) {
        choose(now.includes(name) ? now.filter((other) => other !== name) : [...now, name]);
      } else {
        choose(now.length === 1 && now[0] === name ? [] : [name]);
      }
    };

    const cell = (row, text, className, title) => {
      const td = document.createElement("td");
      td.setAttribute("role", "gridcell");
      td.textContent = text;
      if (className) td.className = className;
      if (title) td.title = title;
      row.append(td);
      return td;
    };

    const mark = () => {
      const chosen = new Set(model.get("selection"));
      for (const row of table.querySelectorAll("tbody tr")) {
        const on = chosen.has(row.dataset.name);
        row.classList.toggle("wb-chosen", on);
        row.setAttribute("aria-selected", String(on));
      }
      const count = model.get("rows").length;
      const visible = new Set(shown());
      const hidden = [...chosen].filter((name) => !visible.has(name)).length;
      const said = chosen.size ? `, ${chosen.size} chosen${hidden ? `, ${hidden} of them not in sight` : ""}` : ", none chosen: steps go to all";
      foot.replaceChildren(`${visible.size} of ${count} layers${said} `, csvButton(save));
    };

    // What a preview would leave, in the colour of previews; else what there is.
    const stage = (row, facts) => {
      const [kept, bits] = model.get("preview")[facts.name] ?? [facts.kept, facts.bits];
      const [first, second] = [row.querySelector(".wb-kept"), row.querySelector(".wb-bits")];
      const bar = document.createElement("span");
      bar.className = "wb-bar";
      bar.style.setProperty("--part", `${kept * 100}%`);
      first.replaceChildren(bar, `${Math.round(kept * 100)} %`);
      second.textContent = bits;
      first.classList.toggle("wb-staged", kept !== facts.kept);
      second.classList.toggle("wb-staged", bits !== facts.bits);
    };
    const restage = () => {
      for (const facts of model.get("rows")) if (made.has(facts.name)) stage(made.get(facts.name), facts);
    };

    // Rows are made once, and put in again where they fit the filter: to make a thousand for each key takes too long.
    let made = new Map();
    const make = () => {
      made = new Map(model.get("rows").map((facts) => [facts.name, line(facts)]));
      draw();
    };
    const line = (facts) => {
      const row = document.createElement("tr");
      row.dataset.name = facts.name;
      row.tabIndex = 0;
      row.setAttribute("role", "row");
      writeName(cell(row, "", "", facts.title).appendChild(document.createElement("span")), facts.name);
      cell(row, facts.kind);
      cell(row, facts.shape, "wb-number");
      cell(row, facts.params, "wb-number");
      cell(row, facts.macs, "wb-number");
      cell(row, "", "wb-number wb-kept");
      cell(row, "", "wb-number wb-bits");
      stage(row, facts);
      row.addEventListener("mousedown", (event) => event.shiftKey && event.preventDefault()); // no text is selected
      row.addEventListener("click", (event) => pick(facts.name, event));
      row.addEventListener("keydown", (event) => {
        if (event.key === " " || event.key === "Enter") {
          pick(facts.name, event);
        } else if (event.key === "ArrowDown") {
          row.nextElementSibling?.focus();
        } else if (event.key === "ArrowUp") {
          row.previousElementSibling?.focus();
        } else {
          return;
        }
        event.preventDefault();
        event.stopPropagation();
      });
      return row;
    };

    const head = table.createTHead();
    const body = table.createTBody();
    const title = (text, column) => {
      const th = document.createElement("th");
      th.scope = "col";
      th.setAttribute("role", "columnheader");
      th.setAttribute("aria-sort", sorted.column !== column ? "none" : sorted.down ? "descending" : "ascending");
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = sorted.column === column ? `${text} ${sorted.down ? "▾" : "▴"}` : text;
      button.title = `${EXPLAIN[text] ?? text}; a click sorts, a third one gives the model's order back`;
      button.addEventListener("click", () => {
        if (sorted.column !== column) sorted = { column, down: column > 1 };
        else if (sorted.down === column > 1) sorted = { column, down: !sorted.down };
        else sorted = {};
        draw();
      });
      th.append(button);
      return th;
    };
    const draw = () => {
      const focused = document.activeElement?.closest?.("tr")?.dataset.name;
      const fits = matcher(filter.value);
      const titles = document.createElement("tr");
      titles.setAttribute("role", "row");
      titles.append(...HEADS.map(title));
      head.replaceChildren(titles);
      body.replaceChildren(...ordered().filter(({ name }) => fits(name)).map(({ name }) => made.get(name)));
      if (focused && made.get(focused)?.isConnected) made.get(focused).focus();
      mark();
    };

    el.append(filter, holder, foot);
    model.on("change:rows", make);
    model.on("change:preview", restage);
    model.on("change:selection", mark);
    make();
    return () => {
      model.off("change:rows", make);
      model.off("change:preview", restage);
      model.off("change:selection", mark);
    };
  },
};
