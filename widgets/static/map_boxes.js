// What the map is made of.
const SVG = "http://www.w3.org/2000/svg";

const node = (tag, attributes = {}, text = "") => {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text) made.textContent = text;
  return made;
};

// Smooth through its points, and straight where there are only two.
const curve = (points) => {
  const [first, ...rest] = points;
  let path = `M${first[0]},${first[1]}`;
  let [x, y] = first;
  for (const [nx, ny] of rest) {
    const half = (y + ny) / 2;
    path += nx === x ? `L${nx},${ny}` : `C${x},${half} ${nx},${half} ${nx},${ny}`;
    [x, y] = [nx, ny];
  }
  return path;
};

// How much larger words are drawn than boxes where all is small, so that they stay readable as long as they fit.
const LARGER = 1.3;
const enlarged = (k, text, room) => Math.max(1, Math.min(LARGER, 1 / k, room / (7.6 * Math.max(text.length, 1))));

// A box with its words, at the scale `k`; `words` is false where they could not be read.
function drawBox(box, words, k) {
  const made = node("g", { class: `wb-box wb-${box.kind}`, transform: `translate(${box.x - box.w / 2},${box.y - box.h / 2})` });
  made.dataset.name = box.name;
  const single = box.h < 30;
  const rect = node("rect", { width: box.w, height: box.h, rx: single ? box.h / 2 : 7 });
  made.append(node("title", {}, box.hint), rect);
  let said = null;
  if (words) {
    const pad = box.kind === "block" ? 26 : 10;
    const by = enlarged(k, box.short, box.w - pad - 6);
    const name = node("text", single ? { x: box.w / 2, y: box.h / 2, class: "wb-middle" } : { x: pad, y: box.h / 2 - 7 * Math.min(by, 1.1) }, box.short);
    name.style.fontSize = `${(single ? 11 : 12) * by}px`;
    made.append(name);
    if (!single) {
      said = node("text", { x: pad, y: box.h / 2 + 8 * Math.min(by, 1.1), class: "wb-value-text" });
      said.style.fontSize = `${10.5 * Math.max(1, Math.min(LARGER, 1 / k))}px`;
      made.append(said);
    }
    if (box.kind === "block") made.append(node("rect", { width: 24, height: box.h, class: "wb-unfold", rx: 7 }), node("text", { x: 9, y: box.h / 2 }, "▸"));
  }
  if (box.layers.length) {
    made.setAttribute("role", "button");
    made.setAttribute("tabindex", "-1");
    made.setAttribute("aria-label", box.hint.split("\n")[0]);
  }
  return { made, box, rect, said };
}

// An unfolded block: a frame whose name folds it. Only as much of it is drawn as is near, for dashes of a long way are
// slow to paint.
function drawFrame(frame, words, near, k) {
  const held = node("g", { class: "wb-frame" });
  held.dataset.name = frame.name;
  const left = frame.x - frame.w / 2;
  const top = Math.max(frame.y - frame.h / 2, near.y0 - 40);
  const bottom = Math.min(frame.y + frame.h / 2, near.y1 + 40);
  held.append(node("rect", { x: left, y: top, width: frame.w, height: Math.max(bottom - top, 0), rx: 10 }));
  if (words) {
    const name = node("text", { x: left + 6, y: top - 1 }, `▾ ${frame.short}`);
    name.style.fontSize = `${10.5 * enlarged(k, frame.short, frame.w)}px`;
    held.append(name);
  }
  held.append(node("title", {}, `${frame.name}: a click on its name folds it`));
  return held;
}

