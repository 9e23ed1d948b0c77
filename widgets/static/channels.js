// Channels as a strip: height is importance, a click cuts one or takes it back.
export default {
  render({ model, el }) {
    el.classList.add("wb-channels");
    const strip = document.createElement("div");
    strip.className = "wb-channels-strip";
    strip.setAttribute("role", "group");
    el.append(strip);
    const tell = teller(model, "cut");

    const made = (number) => {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "wb-channel";
      button.dataset.number = number;
      const bar = document.createElement("span");
      const heights = model.get("heights");
      bar.style.height = `${heights.length ? Math.max(4, 100 * heights[number]) : 60}%`;
      button.append(bar);
      button.title = model.get("titles")[number];
      button.setAttribute("aria-label", button.title);
      button.classList.toggle("wb-channel-marked", model.get("marked").includes(number));
      button.addEventListener("click", () => {
        if (model.get("fixed")) return;
        const cut = model.get("cut");
        tell(cut.includes(number) ? cut.filter((one) => one !== number) : [...cut, number].sort((a, b) => a - b));
      });
      button.addEventListener("keydown", (event) => {
        const next = { ArrowRight: button.nextElementSibling, ArrowLeft: button.previousElementSibling }[event.key];
        if (!next) return;
        next.focus();
        event.preventDefault();
        event.stopPropagation();
      });
      return button;
    };

    const mark = () => {
      const cut = new Set(model.get("cut"));
      for (const button of strip.children) {
        const on = cut.has(Number(button.dataset.number));
        button.classList.toggle("wb-channel-cut", on);
        button.setAttribute("aria-pressed", String(on));
      }
    };
    const draw = () => {
      strip.replaceChildren(...model.get("order").map(made));
      strip.classList.toggle("wb-channels-fixed", model.get("fixed"));
      strip.setAttribute("aria-label", model.get("label"));
      mark();
    };
    draw();
    const watched = ["order", "titles", "heights", "marked", "fixed"].map((name) => `change:${name}`).join(" ");
    model.on(watched, draw);
    model.on("change:cut", mark);
    return () => {
      model.off(watched, draw);
      model.off("change:cut", mark);
    };
  },
};
