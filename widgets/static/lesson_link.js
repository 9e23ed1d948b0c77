// A link to a notebook. JupyterLab and Notebook say in their page which folder they serve, and open a path below it on
// a click, as they do for links of their own; anything else gets the lesson as a page to read.
export default {
  render({ model, el }) {
    el.classList.add("wb-lesson-link-holder");
    const link = part("a", "wb-lesson-link", model.get("label"));
    link.href = "#";
    const told = part("span", "wb-lesson-told", "");
    told.setAttribute("role", "status");
    el.append(link, told);

    const place = () => {
      const facts = document.getElementById("jupyter-config-data");
      const path = model.get("path");
      if (!facts || !path) return "";
      const served = (JSON.parse(facts.textContent).serverRoot || "").replace(/^~/, model.get("home")).replace(/\\/g, "/").replace(/\/?$/, "/");
      return served !== "/" && path.startsWith(served) ? path.slice(served.length) : "";
    };
    const inside = place();
    if (inside) {
      const base = JSON.parse(document.getElementById("jupyter-config-data").textContent).baseUrl || "/";
      link.href = `${base}lab/tree/${inside.split("/").map(encodeURIComponent).join("/")}`;
      link.dataset.commandlinkerCommand = "docmanager:open";
      link.dataset.commandlinkerArgs = JSON.stringify({ path: inside });
      return;
    }
    if (!model.get("readable")) {
      link.replaceWith(part("span", "", model.get("label")));
      return;
    }
    // The window is opened by the click itself: a browser takes one that comes later for an advertisement.
    let opened = null;
    const ask = (event) => {
      event.preventDefault();
      opened = window.open("", "_blank");
      model.send({ read: true });
    };
    const receive = (message) => {
      if (message.failed) {
        told.textContent = ` ${message.failed}`;
        opened?.close();
      }
      if (!message.page || !opened) return;
      const url = URL.createObjectURL(new Blob([message.page], { type: "text/html" }));
      opened.opener = null;
      opened.location.replace(url);
      opened = null;
      setTimeout(() => URL.revokeObjectURL(url), 60_000);
    };
    link.addEventListener("click", ask);
    model.on("msg:custom", receive);
    return () => model.off("msg:custom", receive);
  },
};
