// One Bokeh figure, fed from synced state: whatever a page shows, first or after a reload, is the newest state.
async function bokeh() {
  for (let tries = 0; tries < 600; tries++) {
    if (window.Bokeh?.embed) return window.Bokeh;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error("BokehJS did not load");
}

// JSON has no NaN; in a column of numbers null stands for it.
const column = (values) =>
  Array.isArray(values) && values.some((value) => typeof value === "number")
    ? values.map((value) => (value === null ? NaN : value))
    : values;

const decode = (attribute, value) =>
  attribute === "data" ? Object.fromEntries(Object.entries(value).map(([name, values]) => [name, column(values)])) : value;

export default {
  async render({ model, el }) {
    const Bokeh = await bokeh();
    el.classList.add("wb-figure");
    const views = await Bokeh.embed.embed_item(JSON.parse(model.get("item")), el);
    const view = views.roots?.[0] ?? [...views][0];
    const doc = view.model.document;

    const feed = () => {
      for (const [id, attributes] of Object.entries(model.get("changed"))) {
        const found = doc.get_model_by_id(id);
        const decoded = Object.entries(attributes).map(([name, value]) => [name, decode(name, value)]);
        found?.setv(Object.fromEntries(decoded));
      }
    };

    feed();
    model.on("change:changed", feed);
    return () => {
      model.off("change:changed", feed);
      doc.clear();
    };
  },
};
