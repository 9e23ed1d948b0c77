// One Bokeh figure, fed from synced state: whatever a page shows, first or after a reload, is the newest state.
// What the hand does to the models in `follows` goes back, one message at a time, the newest values when the kernel
// has seen the ones before. What is under the hand is not fed meanwhile, so the kernel's older word cannot fight it.
async function bokeh() {
  for (let tries = 0; tries < 600; tries++) {
    if (window.Bokeh?.embed) return window.Bokeh;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error("BokehJS did not load");
}

// Resolves once the element is laid out: a tab that is not open has no width.
const shown = (el) =>
  new Promise((resolve) => {
    const watch = new ResizeObserver(() => {
      if (!el.clientWidth) return;
      watch.disconnect();
      resolve();
    });
    watch.observe(el);
  });

// The figure is made by the kernel for the first page that shows it.
const item = (model) =>
  new Promise((resolve) => {
    const take = () => {
      if (!model.get("item")) return;
      model.off("change:item", take);
      resolve(JSON.parse(model.get("item")));
    };
    model.on("change:item", take);
    take();
    if (!model.get("item")) model.send({ wanted: "item" });
  });

// JSON has no NaN; in a column of numbers null stands for it.
const numbers = (values) => values.map((value) => (value === null ? NaN : value));

// The pictures in a column come as rows of numbers; BokehJS takes them as arrays with a shape only.
const image = (rows) =>
  window.Bokeh.require("core/util/ndarray").ndarray(numbers(rows.flat()), { dtype: "float32", shape: [rows.length, rows[0].length] });

const column = (values) => {
  if (!Array.isArray(values)) return values;
  if (Array.isArray(values[0]?.[0])) return values.map(image);
  return values.some((value) => typeof value === "number") ? numbers(values) : values;
};

const decode = (attribute, value) =>
  attribute === "data" ? Object.fromEntries(Object.entries(value).map(([name, values]) => [name, column(values)])) : value;

const PICTURED_MS = 400;

// Figures are made in a grey that is readable on white and on black; where the page's theme is known, a clearer one is.
const GREYS = { plain: "#7a7a7a", light: "#5a5a5a", dark: "#bdbdbd" };
const WORDS = ["major_label_text_color", "axis_label_text_color", "label_text_color", "title_text_color", "text_color"];
// Colours of marks that are too dark or too loud on black, and what stands for them there: marks, the grey of what
// cannot be done, and the words on cells.
const ON_DARK = { "#0072B2": "#6CBEF0", "#D55E00": "#FF9A62", "#009E73": "#4FD1A5", "#c9c9c9": "#3c3c3c", "#4a4a4a": "#ececec", "#fefefe": "#141414" };
const ON_LIGHT = Object.fromEntries(Object.entries(ON_DARK).map(([light, dark]) => [dark, light]));
const MARKS = ["fill_color", "line_color", "hatch_color", "hover_line_color", "nan_color"];

const tone = (doc) => {
  const theme = document.body.dataset.jpThemeLight;
  if (theme === undefined) return;
  const dark = theme === "false";
  const grey = GREYS[dark ? "dark" : "light"];
  const known = Object.values(GREYS);
  const swapped = dark ? ON_DARK : ON_LIGHT;
  for (const model of doc._all_models.values()) {
    const plain = (name) => model[name]?.value ?? model[name];
    const news = [
      ...WORDS.filter((name) => known.includes(plain(name))).map((name) => [name, grey]),
      ...MARKS.filter((name) => typeof plain(name) === "string" && plain(name) in swapped).map((name) => [name, swapped[plain(name)]]),
    ];
    if (news.length) model.setv(Object.fromEntries(news.map(([name, color]) => [name, model[name]?.value ? { value: color } : color])));
    // A scale brings that of dark pages along; whichever is not shown is kept in its tags.
    const [other, ...palette] = model.tags;
    if ((other === "dark") === dark && palette.length) model.setv({ tags: [dark ? "light" : "dark", ...model.palette], palette });
    // Colours of single marks are in columns.
    const columns = Object.entries(model.type === "ColumnDataSource" ? model.data : {}).filter(([, values]) => typeof values?.[0] === "string" && values.some((one) => one in swapped));
    if (columns.length) model.data = { ...model.data, ...Object.fromEntries(columns.map(([name, values]) => [name, values.map((one) => swapped[one] ?? one)])) };
  }
};

// On the ground that it was drawn for: whoever sees it later may have the other theme.
const picture = (drawn) => {
  const made = document.createElement("canvas");
  [made.width, made.height] = [drawn.width, drawn.height];
  const pen = made.getContext("2d");
  pen.fillStyle = document.body.dataset.jpThemeLight === "false" ? "#111" : "#fff";
  pen.fillRect(0, 0, made.width, made.height);
  pen.drawImage(drawn, 0, 0);
  return made.toDataURL("image/png");
};

export default {
  async render({ model, el }) {
    el.classList.add("wb-figure");
    el.style.minHeight = `${model.get("height")}px`; // nothing moves when it comes
    await shown(el);
    const [Bokeh, made] = await Promise.all([bokeh(), item(model)]);
    const views = await Bokeh.embed.embed_item(made, el);
    el.style.minHeight = "";
    const view = views.roots?.[0] ?? [...views][0];
    const doc = view.model.document;
    if (model.get("label")) {
      el.setAttribute("role", "img");
      el.setAttribute("aria-label", model.get("label"));
    }

    const page = Math.random().toString(36).slice(2);
    const fed = new Map();
    const held = new Set();
    let feeding = false;
    let pressed = false;
    let sent = 0;
    let seen = 0;
    let news = {};

    const write = (found, values) => {
      feeding = true;
      try {
        found.setv(values);
      } finally {
        feeding = false;
      }
    };

    const feed = () => {
      for (const [id, attributes] of Object.entries(model.get("changed"))) {
        const found = doc.get_model_by_id(id);
        const text = JSON.stringify(attributes);
        if (!found || held.has(id) || fed.get(id) === text) continue;
        fed.set(id, text);
        write(found, Object.fromEntries(Object.entries(attributes).map(([name, value]) => [name, decode(name, value)])));
      }
      tone(doc);
    };

    const rest = () => {
      if (pressed || sent !== seen || Object.keys(news).length) return;
      for (const id of held) fed.delete(id);
      held.clear();
      feed();
    };

    const send = () => {
      if (sent === seen && Object.keys(news).length) {
        model.send({ page, number: ++sent, moved: news });
        news = {};
      }
    };

    const note = (event) => {
      const attributes = feeding ? undefined : model.get("follows")[event.model?.id];
      if (!attributes?.includes(event.attr)) return;
      const moved = event.model;
      if (event.attr === "indices") {
        if (!moved.indices.length) return;
        news[moved.id] = { indices: [...moved.indices] };
        // A tap is an event and leaves no selection behind, so that the same place can be tapped again.
        queueMicrotask(() => write(moved, { indices: [] }));
      } else {
        held.add(moved.id);
        news[moved.id] = Object.fromEntries(attributes.map((name) => [name, moved[name]]));
      }
      queueMicrotask(send);
    };

    const hear = () => {
      const [who, number] = model.get("seen");
      if (who !== page) return;
      seen = number;
      send();
      rest();
    };

    const press = () => (pressed = true);
    const lift = () => {
      pressed = false;
      rest();
    };

    feed();
    // For where there is no kernel, of figures that want it: once what was fed has been drawn.
    if (model.get("pictured")) {
      setTimeout(() => model.send({ picture: picture(view.export("png", false).canvas) }), PICTURED_MS);
    }
    const themed = new MutationObserver(() => tone(doc));
    themed.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light"] });
    doc.on_change(note);
    el.addEventListener("pointerdown", press, true);
    window.addEventListener("pointerup", lift);
    window.addEventListener("pointercancel", lift);
    model.on("change:changed", feed);
    model.on("change:seen", hear);
    return () => {
      themed.disconnect();
      window.removeEventListener("pointerup", lift);
      window.removeEventListener("pointercancel", lift);
      model.off("change:changed", feed);
      model.off("change:seen", hear);
      doc.clear();
    };
  },
};
