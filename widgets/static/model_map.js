// The map of the model: boxes in layers from top to bottom. Drag moves it, shift and drag chooses what lies in the
// rectangle, a click chooses one. Only what is near the window is in the page, so that a thousand layers stay fluid.
const READABLE = 0.42; // below this scale words are left out
const NEAREST = 2.5;

export default {
  render({ model, el }) {
    el.classList.add("wb-map");
    const tools = part("div", "wb-map-tools");
    const color = part("select", "");
    color.setAttribute("aria-label", "what the colours say");
    const button = (text, title, act) => {
      const made = part("button", "wb-small", text);
      made.type = "button";
      made.title = title;
      made.setAttribute("aria-label", title);
      made.addEventListener("click", act);
      return made;
    };
    const stage = part("div", "wb-map-stage");
    const svg = node("svg", { role: "group", tabindex: "0", "aria-label": "map of the model; arrows go from box to box, Enter chooses, F folds" });
    const layer = node("g");
    const lasso = node("rect", { class: "wb-lasso" });
    svg.append(layer, lasso);
    stage.append(svg);
    const foot = part("div", "wb-map-foot");
    let view = { x: 0, y: 0, k: 1 };
    let size = { w: 0, h: 0 };
    let own = false; // whether a hand moved it, which then stays so
    let drawn = null;
    let shown = new Map();

    const drawing = () => model.get("drawing");
    const fits = () => matcher(filter.value);
    const filter = filterBox(() => {
      render();
      const first = filter.value && drawing().boxes.find((box) => box.layers.some(fits()));
      if (first) centre(first);
    });
    filter.placeholder = "find a layer: layer1.*, *conv2";
    filter.setAttribute("aria-label", "find layers on the map by name or glob");

    const place = () => layer.setAttribute("transform", `translate(${view.x},${view.y}) scale(${view.k})`);
    const move = (next) => {
      view = next;
      place();
      const near = around(0);
      const far = !drawn || drawn.k !== view.k || near.x0 < drawn.x0 || near.y0 < drawn.y0 || near.x1 > drawn.x1 || near.y1 > drawn.y1;
      if (far) render();
    };
    const around = (more) => ({
      x0: (-view.x - more * size.w) / view.k, y0: (-view.y - more * size.h) / view.k,
      x1: (-view.x + (1 + more) * size.w) / view.k, y1: (-view.y + (1 + more) * size.h) / view.k, k: view.k,
    });
    const fit = () => {
      const { width, height } = drawing();
      if (!width || !size.w) return;
      own = false;
      const k = Math.min(1, Math.max(0.55, Math.min(size.w / width, size.h / height)));
      move({ k, x: (size.w - k * width) / 2, y: k * height < size.h ? (size.h - k * height) / 2 : 0 });
    };
    const whole = () => {
      const { width, height } = drawing();
      const k = Math.min(1, size.w / width, size.h / height);
      own = true;
      move({ k, x: (size.w - k * width) / 2, y: (size.h - k * height) / 2 });
    };
    const zoom = (factor, x = size.w / 2, y = size.h / 2) => {
      own = true;
      const k = Math.min(NEAREST, Math.max(0.02, view.k * factor));
      move({ k, x: x - ((x - view.x) * k) / view.k, y: y - ((y - view.y) * k) / view.k });
    };
    const centre = (box) => {
      own = true;
      const k = Math.max(view.k, 0.7);
      move({ k, x: size.w / 2 - k * box.x, y: size.h / 2 - k * box.y });
    };

    const choose = (names, more) => {
      const now = model.get("selection");
      let next = names;
      if (more) next = names.every((name) => now.includes(name)) ? now.filter((name) => !names.includes(name)) : [...new Set([...now, ...names])];
      else if (names.length === now.length && names.every((name) => now.includes(name))) next = [];
      model.set("selection", next);
      model.save_changes();
    };
    const fold = (name) => model.send({ fold: name });

    const paint = () => {
      const chosen = new Set(model.get("selection"));
      const along = new Set(model.get("coupled").filter((group) => group.some((name) => chosen.has(name))).flat());
      const { boxes: values } = model.get("colors");
      for (const [name, { made, box, rect, said }] of shown) {
        const on = box.layers.length > 0 && box.layers.every((one) => chosen.has(one));
        const some = !on && box.layers.some((one) => chosen.has(one));
        made.classList.toggle("wb-chosen", on);
        made.classList.toggle("wb-some", some);
        made.classList.toggle("wb-coupled", !on && !some && box.layers.some((one) => along.has(one)));
        made.setAttribute("aria-pressed", String(on));
        const [share, text, staged] = values[name] ?? [null, "", false];
        rect.style.setProperty("--share", share === null ? "0%" : `${Math.round(8 + 82 * share)}%`);
        made.classList.toggle("wb-unknown", share === null);
        made.classList.toggle("wb-dark", share !== null && share > 0.5);
        made.classList.toggle("wb-staged-box", staged);
        if (said) said.textContent = text;
      }
    };

    const render = () => {
      const focused = layer.contains(document.activeElement) ? document.activeElement.dataset.name : null;
      const near = (drawn = around(0.6));
      const inside = (x0, y0, x1, y1) => x1 >= near.x0 && x0 <= near.x1 && y1 >= near.y0 && y0 <= near.y1;
      const { boxes, frames, lines } = drawing();
      const made = [];
      for (const frame of frames) {
        if (!inside(frame.x - frame.w / 2, frame.y - frame.h / 2, frame.x + frame.w / 2, frame.y + frame.h / 2)) continue;
        made.push(drawFrame(frame, view.k >= READABLE, near, view.k));
      }
      let path = "";
      for (const line of lines) {
        const ys = line.map(([, y]) => y);
        const xs = line.map(([x]) => x);
        if (inside(Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys))) path += curve(line);
      }
      made.push(node("path", { class: "wb-edge", d: path }));
      shown = new Map();
      const wanted = filter.value ? fits() : null;
      for (const box of boxes) {
        if (!inside(box.x - box.w / 2, box.y - box.h / 2, box.x + box.w / 2, box.y + box.h / 2)) continue;
        const one = drawBox(box, view.k >= READABLE, view.k);
        shown.set(box.name, one);
        if (wanted) one.made.classList.toggle("wb-dim", !box.layers.some(wanted));
        made.push(one.made);
      }
      layer.replaceChildren(...made);
      if (focused && shown.has(focused)) shown.get(focused).made.focus({ preventScroll: true });
      paint();
    };

    const legend = () => {
      const { title, low, high, tone } = model.get("colors");
      color.replaceChildren(...model.get("choices").map(([name, words]) => {
        const made = part("option", "", words);
        made.value = name;
        made.selected = name === title;
        return made;
      }));
      stage.dataset.tone = tone;
      const chosen = model.get("selection").length;
      const scale = part("span", "wb-scale");
      scale.dataset.tone = tone;
      foot.replaceChildren(part("span", "", low), scale, part("span", "", high), part("span", "wb-map-said", `${chosen ? `${chosen} of ${model.get("count")} layers chosen` : `${model.get("count")} layers, none chosen: steps go to all`}${model.get("note") ? ` · ${model.get("note")}` : ""}`));
      foot.lastChild.title = foot.lastChild.textContent;
    };

    let pressed = null;
    const at = (event) => {
      const box = stage.getBoundingClientRect();
      return [event.clientX - box.x, event.clientY - box.y];
    };
    const down = (event) => {
      if (event.button !== 0) return;
      event.preventDefault();
      const [x, y] = at(event);
      pressed = { x, y, view: { ...view }, target: event.target, moved: false, choosing: event.shiftKey && !event.target.closest(".wb-box") };
      stage.setPointerCapture(event.pointerId);
    };
    let frame = 0;
    const drag = (event) => {
      if (!pressed) return;
      const [x, y] = at(event);
      if (!pressed.moved && Math.hypot(x - pressed.x, y - pressed.y) < 4) return;
      pressed.moved = true;
      cancelAnimationFrame(frame);
      frame = requestAnimationFrame(() => {
        if (!pressed) return;
        if (pressed.choosing) {
          const box = { x: Math.min(x, pressed.x), y: Math.min(y, pressed.y), width: Math.abs(x - pressed.x), height: Math.abs(y - pressed.y) };
          for (const [name, value] of Object.entries(box)) lasso.setAttribute(name, value);
          lasso.style.display = "block";
        } else {
          own = true;
          move({ k: view.k, x: pressed.view.x + x - pressed.x, y: pressed.view.y + y - pressed.y });
        }
      });
    };
    const up = (event) => {
      if (!pressed) return;
      const { target, moved, choosing } = pressed;
      const start = pressed;
      pressed = null;
      lasso.style.display = "none";
      if (choosing && moved) {
        const [x, y] = at(event);
        const real = (value, shift) => (value - shift) / view.k;
        const [x0, x1] = [real(Math.min(x, start.x), view.x), real(Math.max(x, start.x), view.x)];
        const [y0, y1] = [real(Math.min(y, start.y), view.y), real(Math.max(y, start.y), view.y)];
        const found = drawing().boxes.filter((box) => box.x >= x0 && box.x <= x1 && box.y >= y0 && box.y <= y1);
        if (found.length) choose([...new Set(found.flatMap((box) => box.layers))], false);
      } else if (!moved) {
        click(event, target);
      }
    };
    let last = {};
    const click = (event, target) => {
      const box = shown.get(target.closest(".wb-box")?.dataset.name)?.box;
      const block = target.closest(".wb-frame");
      const again = box && last.name === box.name && event.timeStamp - last.time < 350;
      last = { name: box?.name, time: event.timeStamp };
      if (box?.kind === "block" && (again || target.classList.contains("wb-unfold"))) fold(box.name);
      else if (box?.layers.length) {
        choose(box.layers, event.shiftKey || event.ctrlKey || event.metaKey);
        shown.get(box.name)?.made.focus({ preventScroll: true });
      } else if (block && target.tagName === "text") fold(block.dataset.name);
    };
    const keys = (event) => {
      const now = shown.get(document.activeElement?.dataset?.name)?.box;
      const boxes = drawing().boxes.filter((box) => box.layers.length || box.kind === "block");
      const go = { ArrowDown: [0, 1], ArrowUp: [0, -1], ArrowRight: [1, 0], ArrowLeft: [-1, 0] }[event.key];
      if (go) {
        const ahead = now ? boxes.filter((box) => (box.x - now.x) * go[0] + (box.y - now.y) * go[1] > 4) : boxes;
        const far = (box) => (now ? Math.abs(box.x - now.x) * (go[0] ? 1 : 3) + Math.abs(box.y - now.y) * (go[1] ? 1 : 3) : box.y);
        const next = ahead.sort((a, b) => far(a) - far(b))[0];
        if (next) {
          if (!shown.has(next.name) || !seen(next)) centre(next);
          shown.get(next.name)?.made.focus({ preventScroll: true });
        }
      } else if ((event.key === "Enter" || event.key === " ") && now) choose(now.layers, event.shiftKey);
      else if (event.key === "f" && now) fold(now.kind === "block" ? now.name : now.blocks.at(-1) ?? "");
      else if (event.key === "+") zoom(1.25);
      else if (event.key === "-") zoom(0.8);
      else return;
      event.preventDefault();
      event.stopPropagation();
    };
    const seen = (box) => {
      const now = around(0);
      return box.x > now.x0 && box.x < now.x1 && box.y > now.y0 && box.y < now.y1;
    };
    const wheel = (event) => {
      if (!event.ctrlKey && !event.metaKey) return; // the page scrolls
      event.preventDefault();
      zoom(Math.exp(-event.deltaY / 300), ...at(event));
    };

    color.addEventListener("change", () => model.send({ quantity: color.value }));
    stage.addEventListener("pointerdown", down);
    stage.addEventListener("pointermove", drag);
    stage.addEventListener("pointerup", up);
    stage.addEventListener("pointercancel", () => (pressed = null));
    stage.addEventListener("wheel", wheel, { passive: false });
    svg.addEventListener("keydown", keys);
    tools.append(filter, color, button("−", "zoom out", () => zoom(0.8)), button("+", "zoom in", () => zoom(1.25)), button("⤢", "show all of it", whole), button("▤", "fold all", () => model.send({ fold: "*" })));
    el.append(tools, stage, foot);
    const watch = new ResizeObserver(() => {
      const { width, height } = stage.getBoundingClientRect();
      if (!width) return;
      size = { w: width, h: height };
      if (own) render();
      else fit();
    });
    watch.observe(stage);
    const redraw = () => {
      drawn = null;
      if (own) move(view);
      else fit();
      legend();
    };
    const recolor = () => {
      paint();
      legend();
    };
    legend();
    model.on("change:drawing", redraw);
    model.on("change:colors change:selection change:coupled change:note", recolor);
    return () => {
      watch.disconnect();
      model.off("change:drawing", redraw);
      model.off("change:colors change:selection change:coupled change:note", recolor);
    };
  },
};
