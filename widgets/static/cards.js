// Every state that was tried as a card in one line, the newest to the right. What is set side by side is chosen here.
export default {
  render({ model, el }) {
    el.classList.add("wb-cards");
    const button = (className, text, title, act) => {
      const made = part("button", className, text);
      made.type = "button";
      made.title = title;
      made.setAttribute("aria-label", title);
      made.addEventListener("click", act);
      return made;
    };
    const head = part("div", "wb-cards-head");
    const line = part("div", "wb-cards-line");
    line.setAttribute("role", "list");
    el.append(head, line);
    let editing = null;
    let count = -1;
    const drawn = new Map();

    const card = (row) => {
      const made = part("div", "wb-card");
      made.setAttribute("role", "listitem");
      made.dataset.number = row.number;
      made.classList.toggle("wb-current", row.current);
      const top = part("div", "wb-card-top");
      const check = part("input", "");
      check.type = "checkbox";
      check.checked = model.get("compared").includes(row.number);
      check.title = "set side by side";
      check.setAttribute("aria-label", `compare state ${row.number}`);
      check.addEventListener("change", () => {
        const others = model.get("compared").filter((one) => one !== row.number);
        model.send({ compare: check.checked ? [...others, row.number].sort((a, b) => a - b) : others });
      });
      const star = button("wb-star", row.star ? "★" : "☆", `${row.star ? "take the star of" : "star"} state ${row.number}`, () => model.send({ label: row.number, star: !row.star }));
      star.setAttribute("aria-pressed", String(row.star));
      const edit = button("wb-star", "✎", `name and note of state ${row.number}`, () => {
        editing = editing === row.number ? null : row.number;
        draw();
        line.querySelector(".wb-card-edit input")?.focus();
      });
      top.append(check, part("span", "", row.number ? `state ${row.number}` : "untouched"), star, edit);
      if (row.deletable) top.append(button("wb-star", "×", `delete state ${row.number}`, () => model.send({ label: row.number, deleted: true })));
      if (editing === row.number) {
        const form = part("div", "wb-card-edit");
        const field = (label, value) => {
          const input = part("input", "");
          input.type = "text";
          input.value = value;
          input.placeholder = label;
          input.setAttribute("aria-label", `${label} of state ${row.number}`);
          input.addEventListener("keydown", (event) => {
            event.stopPropagation();
            if (event.key === "Enter") save();
          });
          return input;
        };
        const [name, note] = [field("name", row.name), field("note", row.note)];
        const save = () => {
          editing = null;
          model.send({ label: row.number, name: name.value, note: note.value });
          draw();
        };
        form.append(name, note, button("wb-small", "Keep", `keep name and note of state ${row.number}`, save));
        made.append(top, form);
        return made;
      }
      const go = button("wb-card-go", "", `go to state ${row.number}: ${row.title}`, () => model.send({ go: row.number }));
      const numbers = part("span", "wb-card-numbers");
      numbers.append(part("b", "", row.score), part("span", row.verdict ? `wb-${row.verdict}` : "", row.change));
      go.append(part("span", "wb-card-title", row.name || row.title), numbers, part("span", "wb-card-costs", row.costs));
      go.title = [row.title, row.note].filter(Boolean).join("\n");
      made.append(top, go);
      return made;
    };

    const draw = () => {
      const compared = model.get("compared");
      const rows = model.get("rows");
      const words = rows.length > 1 ? "tick two or more to compare them; a click goes there" : "each step that is applied makes one";
      if (head.dataset.shows !== `${compared.length} ${words}`) {
        const compare = button("wb-small", `Compare ${compared.length || ""}`.trim(), "set the ticked states side by side", () => model.send({ show: true }));
        compare.disabled = compared.length < 2;
        head.replaceChildren(part("b", "", "States"), part("span", "", words), compare);
        head.dataset.shows = `${compared.length} ${words}`;
      }
      // Cards that say the same stay: a new one would lose the focus.
      const cards = rows.map((row) => {
        const says = JSON.stringify([row, compared.includes(row.number), editing === row.number]);
        const old = drawn.get(row.number);
        return old?.says === says ? old : { says, element: card(row) };
      });
      drawn.clear();
      rows.forEach((row, place) => drawn.set(row.number, cards[place]));
      cards.forEach(({ element }, place) => {
        if (line.children[place] !== element) line.insertBefore(element, line.children[place] ?? null);
      });
      while (line.children.length > cards.length) line.lastElementChild.remove();
      if (rows.length !== count) line.scrollLeft = line.scrollWidth;
      count = rows.length;
    };
    draw();

    // A press ends on the card that it began on, and what is typed stays, whatever was measured meanwhile.
    let pressed = false;
    let due = false;
    const typing = () => line.contains(document.activeElement) && document.activeElement.type === "text";
    const redraw = () => {
      due = pressed || typing();
      if (!due) draw();
    };
    const later = () => setTimeout(() => { if (due) redraw(); });
    const press = () => { pressed = true; };
    const release = () => {
      pressed = false;
      later();
    };
    el.addEventListener("pointerdown", press);
    el.addEventListener("focusout", later);
    window.addEventListener("pointerup", release);
    window.addEventListener("pointercancel", release);
    model.on("change:rows change:compared", redraw);
    return () => {
      model.off("change:rows change:compared", redraw);
      window.removeEventListener("pointerup", release);
      window.removeEventListener("pointercancel", release);
    };
  },
};
