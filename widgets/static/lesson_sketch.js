// A curve to sketch: points at given places, moved by hand or by arrow keys. Each is a slider to a screen reader.
const SVG = "http://www.w3.org/2000/svg";
const BOX = { width: 640, height: 270, left: 62, right: 18, top: 14, bottom: 46 };

const draw = (tag, facts, text) => {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(facts)) made.setAttribute(name, value);
  if (text !== undefined) made.textContent = text;
  return made;
};

const ticks = (low, high) => {
  const rough = (high - low) / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((one) => one * power).find((one) => one >= rough);
  const found = [];
  for (let at = Math.ceil(low / step) * step; at <= high + 1e-9; at += step) found.push(Number(at.toPrecision(12)));
  return found;
};

// Returns the element, and functions that give and lock the values.
const sketchPad = (facts, words, answer, changed) => {
  const { xs, low, high, step } = facts;
  const values = answer ? [...answer] : xs.map(() => (low + high) / 2);
  const touched = xs.map(() => Boolean(answer));
  let locked = false;
  // Places are even where they are told by number, so that points that are close in x can be taken hold of too.
  const wide = BOX.width - BOX.left - BOX.right;
  const room = 14;
  const px = (n) => BOX.left + room + ((wide - 2 * room) * n) / Math.max(xs.length - 1, 1);
  const py = (value) => BOX.top + ((BOX.height - BOX.top - BOX.bottom) * (high - value)) / (high - low);
  const svg = draw("svg", { viewBox: `0 0 ${BOX.width} ${BOX.height}`, class: "wbl-pad", role: "group", "aria-label": facts.ask });
  for (const value of ticks(low, high)) {
    svg.append(draw("line", { x1: BOX.left, x2: BOX.width - BOX.right, y1: py(value), y2: py(value), class: "wbl-grid" }));
    svg.append(draw("text", { x: BOX.left - 8, y: py(value) + 4, "text-anchor": "end", class: "wbl-tick" }, value));
  }
  xs.forEach((x, n) => svg.append(draw("text", { x: px(n), y: BOX.height - BOX.bottom + 18, "text-anchor": "middle", class: "wbl-tick" }, x)));
  svg.append(draw("text", { x: BOX.left + wide / 2, y: BOX.height - 6, "text-anchor": "middle", class: "wbl-axis" }, facts.x));
  const middle = (BOX.top + BOX.height - BOX.bottom) / 2;
  svg.append(draw("text", { x: 14, y: middle, transform: `rotate(-90 14 ${middle})`, "text-anchor": "middle", class: "wbl-axis" }, facts.y));
  const line = draw("polyline", { class: "wbl-line" });
  svg.append(line);

  const places = String(step).includes(".") ? String(step).split(".")[1].length : 0;
  const set = (n, value) => {
    if (locked) return;
    const snapped = low + Math.round((value - low) / step) * step;
    values[n] = Number(Math.min(Math.max(snapped, low), high).toFixed(places));
    touched[n] = true;
    paint();
    changed();
  };

  const handles = xs.map((x, n) => {
    const handle = draw("circle", { r: 8, class: "wbl-handle", tabindex: 0, role: "slider", "aria-valuemin": low, "aria-valuemax": high });
    handle.setAttribute("aria-label", `${facts.y}, ${facts.x} ${x}`);
    handle.setAttribute("data-lm-suppress-shortcuts", "true");
    handle.addEventListener("keydown", (event) => {
      const moves = { ArrowUp: 1, ArrowRight: 1, ArrowDown: -1, ArrowLeft: -1, PageUp: 10, PageDown: -10 };
      const to = { Home: low, End: high }[event.key] ?? (event.key in moves ? values[n] + moves[event.key] * step : undefined);
      if (to === undefined) return;
      event.preventDefault();
      event.stopPropagation();
      set(n, to);
    });
    handle.addEventListener("pointerdown", (event) => {
      if (locked) return;
      handle.setPointerCapture(event.pointerId);
      const move = (moved) => {
        const area = svg.getBoundingClientRect();
        const y = ((moved.clientY - area.y) * BOX.height) / area.height;
        set(n, high - ((y - BOX.top) * (high - low)) / (BOX.height - BOX.top - BOX.bottom));
      };
      handle.addEventListener("pointermove", move);
      handle.addEventListener("pointerup", () => handle.removeEventListener("pointermove", move), { once: true });
    });
    svg.append(handle);
    return handle;
  });

  const paint = () => {
    line.setAttribute("points", values.map((value, n) => `${px(n)},${py(value)}`).join(" "));
    handles.forEach((handle, n) => {
      handle.setAttribute("cx", px(n));
      handle.setAttribute("cy", py(values[n]));
      handle.setAttribute("aria-valuenow", values[n]);
      handle.setAttribute("aria-valuetext", `${values[n]} ${facts.unit}`);
    });
  };
  paint();
  const holder = document.createElement("div");
  const hint = document.createElement("p");
  hint.className = "wbl-hint";
  hint.textContent = words.handle;
  holder.append(svg, hint);
  return {
    el: holder,
    read: () => (touched.some(Boolean) ? [...values] : null),
    lock: (now) => {
      locked = now;
      svg.classList.toggle("wbl-locked", now);
      handles.forEach((handle) => handle.setAttribute("aria-disabled", now));
    },
  };
};
