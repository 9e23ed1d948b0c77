// Code to copy: as it is, with a button. It is never taken for HTML.
export default {
  render({ model, el }) {
    el.classList.add("wb-listing");
    const head = document.createElement("div");
    const title = document.createElement("b");
    const button = document.createElement("button");
    button.type = "button";
    const shown = document.createElement("pre");
    shown.tabIndex = 0;
    head.append(title, button);
    el.append(head, shown);

    const draw = () => {
      title.textContent = model.get("title");
      shown.replaceChildren(...model.get("runs").map(([kind, text]) => {
        const run = document.createElement("span");
        if (kind) run.className = `wb-code-${kind}`;
        run.textContent = text;
        return run;
      }));
      button.textContent = "Copy";
      button.setAttribute("aria-label", `copy ${model.get("title")}`);
      shown.setAttribute("aria-label", model.get("title"));
    };

    // The clipboard is there only on https and localhost; elsewhere the text is selected, and copied the old way.
    const select = () => {
      const range = document.createRange();
      range.selectNodeContents(shown);
      const selection = window.getSelection();
      selection.removeAllRanges();
      selection.addRange(range);
    };
    const copy = async () => {
      try {
        await navigator.clipboard.writeText(shown.textContent);
      } catch {
        select();
        if (!document.execCommand("copy")) {
          button.textContent = "Selected: press Ctrl+C";
          return;
        }
      }
      button.textContent = "Copied";
      setTimeout(() => (button.textContent = "Copy"), 1500);
    };
    button.addEventListener("click", copy);
    // Select-all within the text selects it, and not the notebook's cells.
    shown.addEventListener("keydown", (event) => {
      if (!(event.ctrlKey || event.metaKey)) return;
      if (event.key.toLowerCase() === "a") {
        select();
        event.preventDefault();
      }
      if ("ac".includes(event.key.toLowerCase())) event.stopPropagation();
    });
    draw();
    model.on("change:runs", draw);
    return () => model.off("change:runs", draw);
  },
};
