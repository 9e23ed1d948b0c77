// A bar for every part of the model, set by dragging or by arrow keys; a pale mark behind it is what is suggested.
export default {
  render({ model, el }) {
    el.classList.add("wb-bars");
    const holder = document.createElement("div");
    holder.className = "wb-bars-scroll";
    const rows = new Map();

    const tell = teller(model, "values");
    const set = (name, value, moving = false) => {
      const { [name]: _, ...others } = model.get("values");
      tell(value === null ? others : { ...others, [name]: value }, moving);
      paint(name);
    };

    const paint = (name) => {
      const { row, range, text } = rows.get(name);
      const [value, ghost] = [model.get("values")[name], model.get("ghosts")[name]];
      const part = (number) => `${(100 * (number - range.min)) / (range.max - range.min)}%`;
      row.classList.toggle("wb-off", value === undefined);
      // What is under the hand stays there.
      if (!range.matches(":active")) range.value = value ?? ghost ?? range.min;
      row.style.setProperty("--part", value === undefined ? "0%" : part(value));
      row.style.setProperty("--ghost", ghost === undefined ? "-1%" : part(ghost));
      text.textContent = value === undefined ? "–" : String(Math.round(value * 100) / 100);
      range.setAttribute("aria-valuetext", value === undefined ? "left alone" : text.textContent);
    };

    const made = (facts) => {
      const row = document.createElement("div");
      row.className = "wb-bar-row";
      row.title = facts.title;
      const name = writeName(document.createElement("span"), facts.name);
      const range = document.createElement("input");
      range.type = "range";
      range.min = model.get("low");
      range.max = model.get("high");
      range.step = model.get("step");
      range.setAttribute("aria-label", `${model.get("label")} of ${facts.name}`);
      const text = document.createElement("output");
      const off = document.createElement("button");
      off.type = "button";
      off.textContent = "×";
      off.title = "leave alone";
      off.setAttribute("aria-label", `leave ${facts.name} alone`);
      range.addEventListener("input", () => set(facts.name, Number(range.value), true));
      range.addEventListener("change", () => set(facts.name, Number(range.value)));
      range.addEventListener("keydown", (event) => event.stopPropagation());
      off.addEventListener("click", () => set(facts.name, null));
      const cost = document.createElement("span");
      cost.className = "wb-bar-note";
      cost.textContent = facts.note;
      row.append(name, range, text, off, cost);
      rows.set(facts.name, { row, range, text });
      return row;
    };

    const repaint = () => [...rows.keys()].forEach(paint);
    const fit = () => {
      const fits = matcher(filter.value);
      for (const [name, { row }] of rows) row.hidden = !fits(name);
    };
    const draw = () => {
      rows.clear();
      holder.replaceChildren(...model.get("rows").map(made));
      repaint();
      fit();
    };
    const filter = filterBox(fit);
    el.append(filter, holder);
    draw();
    const news = [["rows", draw], ["low", draw], ["high", draw], ["step", draw], ["values", repaint], ["ghosts", repaint]];
    for (const [name, react] of news) model.on(`change:${name}`, react);
    return () => {
      for (const [name, react] of news) model.off(`change:${name}`, react);
    };
  },
};
