// The panel's keys. They count only while the focus is inside of the panel, so the notebook keeps its own.
const KEYS = {
  "ctrl+enter": "apply",
  escape: "back",
  "ctrl+z": "undo",
  "ctrl+shift+z": "redo",
  "ctrl+y": "redo",
};
// What is typed has an undo of its own.
const TYPED = "textarea, input:not([type=range]):not([type=checkbox])";
const SLIDER = "[role=slider], input[type=range]";
const SLIDES = new Set(["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "PageUp", "PageDown", "Home", "End"]);

export default {
  render({ model, el }) {
    el.style.display = "none";
    const hear = (event) => {
      const panel = el.closest(".wb-panel");
      const focus = document.activeElement;
      if (!panel || focus === panel || !panel.contains(focus)) return;
      // A notebook has other uses for these keys, such as folding headings, and would take them from a slider.
      if (focus.matches(SLIDER)) focus.toggleAttribute("data-lm-suppress-shortcuts", SLIDES.has(event.key));
      const held = `${event.ctrlKey || event.metaKey ? "ctrl+" : ""}${event.shiftKey ? "shift+" : ""}`;
      // What lies over the panel is closed first.
      const over = ".wb-balloon, .wb-guide-sheet:not([hidden]), .wb-method-menu:not([hidden])";
      if (event.key === "Escape" && panel.querySelector(over)) return;
      const act = KEYS[held + event.key.toLowerCase()];
      if (!act || ((act === "undo" || act === "redo") && focus.matches(TYPED))) return;
      event.preventDefault();
      event.stopImmediatePropagation();
      if (!event.repeat) model.send({ act });
    };
    // On the window and before all others: JupyterLab listens at the document.
    window.addEventListener("keydown", hear, true);
    return () => window.removeEventListener("keydown", hear, true);
  },
};
