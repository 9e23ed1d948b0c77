// Names of layers: which of them fit a filter, and how a long one is shown.
function matcher(text) {
  const globs = text.split(",").map((part) => part.trim()).filter(Boolean);
  if (!globs.length) return () => true;
  const rules = globs.map((glob) => {
    const escaped = glob.replace(/[.+^${}()|[\]\\]/g, "\\$&").replace(/\*/g, ".*").replace(/\?/g, ".");
    return new RegExp(glob.includes("*") || glob.includes("?") ? `^${escaped}$` : escaped, "i");
  });
  return (name) => rules.some((rule) => rule.test(name));
}

// Of a long name the middle is left out, for both ends tell layers apart.
// A number within the name does so most of all, so long words between dots are cut first.
const TAIL = 12;
const WORD = 10;
const LONG = 30;
const shortened = (name) => {
  const words = name.split(".").map((word) => (word.length > WORD ? `${word.slice(0, 5)}…${word.slice(-3)}` : word));
  const short = words.join(".");
  if (short.length <= LONG) return short;
  // Of a path of many words each but the last and the numbers keeps three letters: encoder.layer.12 is enc.lay.12.
  return words.map((word, place) => (place === words.length - 1 || word.length < 5 || /\d/.test(word) ? word : word.slice(0, 3))).join(".");
};

function writeName(element, full) {
  const name = full.length > 2 * TAIL ? shortened(full) : full;
  const [head, tail] = ["head", "tail"].map((part) => {
    const made = document.createElement("span");
    made.className = `wb-name-${part}`;
    return made;
  });
  const cut = name.length > 2 * TAIL ? name.length - TAIL : name.length;
  head.textContent = name.slice(0, cut);
  tail.textContent = name.slice(cut);
  element.classList.add("wb-name");
  element.replaceChildren(head, tail);
  return element;
}

function filterBox(changed) {
  const made = document.createElement("input");
  made.type = "search";
  made.placeholder = "filter: layer1.*, *conv2";
  made.setAttribute("aria-label", "filter layers by name or glob");
  made.addEventListener("input", changed);
  // JupyterLab's own shortcuts must not act on what is typed here.
  made.addEventListener("keydown", (event) => event.stopPropagation());
  return made;
}

