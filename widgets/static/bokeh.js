// Puts the BokehJS of the installed package on the page once. The notebook's file does not grow by it.
export default {
  initialize({ model }) {
    if (window.Bokeh?.embed || document.getElementById("workbench-bokeh")) return;
    const script = document.createElement("script");
    script.id = "workbench-bokeh";
    script.textContent = model.get("source");
    document.head.appendChild(script);
  },
};
