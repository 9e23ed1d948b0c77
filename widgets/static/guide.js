// Help in the panel: its keys, its words, and a tour of five steps that does the real thing.
const SEEN = "workbench-tour";
const KEY_ROWS = [
  ["?", "this sheet"], ["Ctrl+Enter", "apply what the form says"], ["Escape", "discard the preview"],
  ["Ctrl+Z, Ctrl+Shift+Z", "undo, redo"], ["arrows on the map", "go from box to box"], ["Enter, Shift+Enter on the map", "choose a box, choose one more"],
  ["F on the map", "fold or unfold a block"], ["+, − on the map", "zoom"], ["Shift and drag on the map", "choose what lies in the rectangle"],
];
const WORDS = [
  ["MACs", "multiply-accumulates: a product and a sum each, counted for one sample"],
  ["eager", "PyTorch, operator by operator; what is quantized is computed with rounded floats there, so it gets no faster"],
  ["ONNX Runtime", "runs the exported graph, with integer kernels where the file has integers"],
  ["kept", "part of a layer's weights that is still there and not zero"],
  ["measured", "read from a run on this machine"], ["estimated", "from a part of the samples, with its 95 % interval"],
  ["modelled", "computed from counts, and never read from a meter"],
  ["unknown", "the machine did other work while it was timed, or the times scatter too widely to say"],
  ["points", "percentage points of the score: from 98 % to 96 % is −2 points"],
];
// Where each step of the tour points at, what it says, and what it does if it is asked to.
const TOUR = [
  [".wb-map-stage", "This is the model as it runs. A click chooses a layer or a block, and everything else speaks of what is chosen. Colours say how many bytes each part takes.", "Choose the last block", (panel) => pick(panel)],
  [".wb-step-head", "Choose a method here, by a word or by its shelf. What it would do is previewed at once; nothing is changed yet.", "Preview pruning", (panel) => press(panel, "Preview")],
  [".wb-strip", "Every number stands against the untouched model, and says whether it was measured or estimated. Estimates come first and become exact.", "Show the details", (panel) => panel.querySelector(".wb-strip > .wb-quiet").click()],
  [".wb-step-head", "Apply puts the step into the history. Undo takes you back, and nothing is lost.", "Apply it", (panel) => press(panel, "Apply")],
  [".wb-cards", "Each applied step is a state. Go back by a click, tick two or more to compare them, and take the best one along under Export.", "Go to Export", (panel) => [...panel.querySelectorAll(".lm-TabBar-tab")].find((tab) => tab.textContent === "Export")?.dispatchEvent(new MouseEvent("click", { bubbles: true }))],
];
const press = (panel, name) => [...panel.querySelectorAll(".wb-step-head button")].find((one) => one.textContent.trim() === name)?.click();
const pick = (panel) => {
  const box = [...panel.querySelectorAll(".wb-box")].filter((one) => one.getAttribute("role")).at(-2);
  box?.focus();
  box?.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true }));
};

export default {
  render({ model, el }) {
    el.classList.add("wb-guide");
    const button = (text, act, title = text) => {
      const made = part("button", "wb-small", text);
      made.type = "button";
      made.title = title;
      made.setAttribute("aria-label", title);
      made.addEventListener("click", act);
      return made;
    };
    const known = () => {
      try {
        return localStorage.getItem(SEEN) !== null;
      } catch {
        return true; // a page that may keep nothing would ask each time
      }
    };
    const remember = () => {
      try {
        localStorage.setItem(SEEN, "seen");
      } catch {
        // then it is offered again
      }
      hint.hidden = true;
    };
    const help = button("?", () => toggle(), "keys, words and the tour");
    help.setAttribute("aria-expanded", "false");
    const hint = button("New here? Take the tour", () => tour(0), "a tour of five steps");
    hint.classList.add("wb-hint-button");
    hint.hidden = known();
    const sheet = part("div", "wb-guide-sheet");
    sheet.hidden = true;
    sheet.setAttribute("role", "dialog");
    sheet.setAttribute("aria-label", "help");
    const table = (title, rows) => {
      const made = part("table", "");
      made.createCaption().textContent = title;
      for (const [first, second] of rows) {
        const row = made.insertRow();
        const head = part("th", "", first);
        head.scope = "row";
        row.append(head, part("td", "", second));
      }
      return made;
    };
    sheet.append(button("Take the tour", () => tour(0)), button("Close", () => toggle(false), "close the help"), table("Keys", KEY_ROWS), table("Words", WORDS));
    el.append(hint, help, sheet);

    const toggle = (open = sheet.hidden) => {
      sheet.hidden = !open;
      help.setAttribute("aria-expanded", String(open));
      if (open) sheet.querySelector("button").focus();
    };

    let balloon = null;
    let lit = null;
    const end = () => {
      balloon?.remove();
      lit?.classList.remove("wb-lit");
      balloon = lit = null;
      remember();
    };
    const tour = (number) => {
      toggle(false);
      end();
      const panel = el.closest(".wb-panel");
      if (number >= TOUR.length || !panel) return;
      const [where, words, does, act] = TOUR[number];
      lit = panel.querySelector(where);
      lit?.classList.add("wb-lit");
      lit?.scrollIntoView({ block: "nearest" });
      balloon = part("div", "wb-balloon");
      balloon.setAttribute("role", "dialog");
      balloon.setAttribute("aria-label", `tour, step ${number + 1} of ${TOUR.length}`);
      const row = part("div", "wb-balloon-row");
      const next = number + 1 < TOUR.length ? "Next" : "Done";
      const go = button(does, () => {
        act(panel);
        tour(number + 1);
      });
      go.classList.add("wb-go");
      row.append(part("span", "", `${number + 1} of ${TOUR.length}`), button("Close", end, "end the tour"), button(next, () => tour(number + 1)), go);
      balloon.append(part("p", "", words), row);
      panel.append(balloon);
      place();
      go.focus({ preventScroll: true });
    };
    // Below what it speaks of, or over it where there is no room below.
    const place = () => {
      if (!balloon || !lit) return;
      const [box, around] = [lit.getBoundingClientRect(), el.closest(".wb-panel").getBoundingClientRect()];
      balloon.style.top = `${Math.max(90, Math.min(box.bottom, window.innerHeight - 190) - around.top + 8)}px`;
      balloon.style.left = `${Math.max(0, Math.min(box.left - around.left + 12, around.width - 380))}px`;
    };
    const resized = () => requestAnimationFrame(place);
    window.addEventListener("resize", resized);

    const keys = (event) => {
      const panel = el.closest(".wb-panel");
      const focus = document.activeElement;
      if (!panel?.contains(focus)) return;
      if (event.key === "Escape" && (balloon || !sheet.hidden)) {
        if (balloon) end();
        toggle(false);
      } else if (event.key === "?" && !focus.matches("textarea, input:not([type=range]):not([type=checkbox]), [contenteditable=true]")) {
        toggle();
      } else {
        return;
      }
      event.preventDefault();
      event.stopImmediatePropagation();
    };
    window.addEventListener("keydown", keys, true);
    return () => {
      window.removeEventListener("keydown", keys, true);
      window.removeEventListener("resize", resized);
      balloon?.remove();
    };
  },
};
