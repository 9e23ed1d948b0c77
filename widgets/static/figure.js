// One Bokeh figure, fed from synced state: whatever a page shows, first or after a reload, is the newest state.
async function bokeh() {
  for (let tries = 0; tries < 600; tries++) {
    if (window.Bokeh?.embed) return window.Bokeh;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error("BokehJS did not load");
}

export default {
  async render({ model, el }) {
    const Bokeh = await bokeh();
    el.classList.add("wb-figure");
    let views = null;
    let doc = null;

    const feed = () => {
      const data = model.get("data");
      const props = model.get("props");
      for (const [name, columns] of Object.entries(data)) {
        const source = doc.get_model_by_name(name);
        if (source) source.data = columns;
      }
      for (const [name, values] of Object.entries(props)) {
        const found = doc.get_model_by_name(name);
        if (found) found.setv(values);
      }
    };

    const draw = async () => {
      if (views) { el.replaceChildren(); }
      const item = JSON.parse(model.get("item"));
      views = await Bokeh.embed.embed_item({ ...item, target_id: null }, el);
      const roots = views.roots ?? [...views];
      doc = roots[0].model.document;
      feed();
    };

    await draw();
    model.on("change:data", feed);
    model.on("change:props", feed);
    model.on("change:item", draw);
    return () => {
      model.off("change:data", feed);
      model.off("change:props", feed);
      model.off("change:item", draw);
      views?.clear?.();
      doc?.clear?.();
    };
  },
};
