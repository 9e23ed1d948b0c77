// Methods of compression, found by a word or by their shelf. One button says which is chosen; what opens lies over the
// page and moves nothing.
export default {
  render({ model, el }) {
    el.classList.add("wb-methods");
    const button = part("button", "wb-method-now");
    button.type = "button";
    button.setAttribute("aria-haspopup", "listbox");
    const menu = part("div", "wb-method-menu");
    menu.hidden = true;
    const search = part("input", "");
    search.type = "search";
    search.placeholder = "find a method: int8, channels, low rank, teacher …";
    search.setAttribute("aria-label", "find a method");
    const shelves = part("div", "wb-method-shelves");
    const list = part("div", "wb-method-list");
    list.setAttribute("role", "listbox");
    list.setAttribute("aria-label", "methods");
    menu.append(search, shelves, list);
    el.append(button, menu);
    let shelf = "";

    const fits = (row) => {
      const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      const text = `${row.title} ${row.kind} ${row.shelf} ${row.summary} ${row.also}`.toLowerCase();
      return (!shelf || row.shelf === shelf) && words.every((word) => text.includes(word));
    };
    const rank = (row) => {
      const first = search.value.toLowerCase().trim();
      return first && row.title.toLowerCase().includes(first) ? 0 : 1;
    };
    const open = (now) => {
      menu.hidden = !now;
      button.setAttribute("aria-expanded", String(now));
      if (now) {
        search.value = "";
        shelf = "";
        draw();
        search.focus();
      }
    };
    const choose = (kind) => {
      open(false);
      button.focus();
      tell(kind);
    };
    const tell = teller(model, "value");

    const option = (row) => {
      const made = part("button", "wb-method");
      made.type = "button";
      made.dataset.kind = row.kind;
      made.setAttribute("role", "option");
      made.setAttribute("aria-selected", String(row.kind === model.get("value")));
      made.append(part("b", "", row.title), part("span", "", row.lacks ? `Not here: ${row.lacks}` : row.summary));
      made.classList.toggle("wb-method-off", Boolean(row.lacks));
      made.addEventListener("click", () => choose(row.kind));
      return made;
    };
    const draw = () => {
      const rows = model.get("rows");
      const now = rows.find((row) => row.kind === model.get("value"));
      button.replaceChildren(part("small", "", now?.shelf ?? ""), part("b", "", now?.title ?? "choose a method"), part("span", "", "▾"));
      button.title = now?.summary ?? "";
      if (menu.hidden) return;
      const chip = (name, title) => {
        const made = part("button", "wb-chip", title);
        made.type = "button";
        made.setAttribute("aria-pressed", String(shelf === name));
        made.addEventListener("click", () => {
          shelf = name;
          draw();
        });
        return made;
      };
      shelves.replaceChildren(chip("", "All"), ...[...new Set(rows.map((row) => row.shelf))].map((name) => chip(name, name)));
      const found = rows.filter(fits).sort((a, b) => rank(a) - rank(b));
      const parts = [];
      let last = "";
      for (const row of found) {
        if (!search.value && row.shelf !== last) parts.push(part("div", "wb-method-shelf", row.shelf));
        last = row.shelf;
        parts.push(option(row));
      }
      if (!found.length) parts.push(part("div", "wb-method-shelf", "no method has this word"));
      list.replaceChildren(...parts);
    };

    const keys = (event) => {
      event.stopPropagation();
      const options = [...list.querySelectorAll(".wb-method")];
      const at = options.indexOf(document.activeElement);
      if (event.key === "Escape") {
        open(false);
        button.focus();
      } else if (event.key === "ArrowDown") {
        (options[at + 1] ?? options[0])?.focus();
      } else if (event.key === "ArrowUp") {
        (at > 0 ? options[at - 1] : search).focus();
      } else if (event.key === "Enter" && document.activeElement === search && options.length) {
        choose(options[0].dataset.kind);
      } else {
        return;
      }
      event.preventDefault();
    };
    const outside = (event) => {
      if (!el.contains(event.target)) open(false);
    };
    button.addEventListener("click", () => open(menu.hidden));
    search.addEventListener("input", draw);
    menu.addEventListener("keydown", keys);
    document.addEventListener("pointerdown", outside, true);
    draw();
    model.on("change:rows change:value", draw);
    return () => {
      document.removeEventListener("pointerdown", outside, true);
      model.off("change:rows change:value", draw);
    };
  },
};
