// Samples as cards: a picture or text, what they are, what was said of them before and what is now. One can be chosen.
export default {
  render({ model, el }) {
    el.classList.add("wb-samples");
    const holder = document.createElement("div");
    holder.className = "wb-samples-scroll";
    holder.setAttribute("role", "group");
    holder.setAttribute("aria-label", "samples whose prediction changed");
    el.append(holder);

    const card = (row) => {
      const made = part("button", `wb-sample wb-sample-${row.verdict}`);
      made.type = "button";
      made.dataset.number = row.number;
      made.title = row.title;
      if (row.picture) {
        const image = part("img", "");
        image.src = row.picture;
        image.alt = "";
        made.append(image);
      } else {
        made.append(part("span", "wb-sample-text", row.text));
      }
      made.append(part("span", "wb-sample-label", row.label), part("span", "wb-sample-said", row.said));
      made.addEventListener("click", () => {
        model.set("chosen", model.get("chosen") === row.number ? -1 : row.number);
        model.save_changes();
      });
      return made;
    };

    const mark = () => {
      for (const made of holder.children) {
        const on = Number(made.dataset.number) === model.get("chosen");
        made.classList.toggle("wb-chosen", on);
        made.setAttribute("aria-pressed", String(on));
      }
    };
    const draw = () => {
      holder.replaceChildren(...model.get("rows").map(card));
      mark();
    };
    draw();
    model.on("change:rows", draw);
    model.on("change:chosen", mark);
    return () => {
      model.off("change:rows", draw);
      model.off("change:chosen", mark);
    };
  },
};
