// Files of the server: a folder to go through, a file to bring up, what was written to take along. What is taken along
// travels over the widget's own line, so that it works wherever the panel does.
export default {
  render({ model, el }) {
    el.classList.add("wb-files");
    const button = (text, label, act) => {
      const made = part("button", "wb-small", text);
      made.type = "button";
      made.setAttribute("aria-label", label);
      made.title = label;
      made.addEventListener("click", act);
      return made;
    };
    const list = part("div", "wb-files-list");
    const head = part("div", "wb-files-head");
    el.append(head, list);

    const upload = () => {
      const input = part("input", "wb-files-input");
      input.type = "file";
      input.setAttribute("aria-label", "upload a file into this folder");
      input.addEventListener("change", async () => {
        const [file] = input.files;
        if (!file) return;
        const data = await file.arrayBuffer();
        model.send({ upload: file.name }, undefined, [new DataView(data)]);
      });
      return input;
    };
    const draw = () => {
      const browsing = model.get("browsing");
      head.replaceChildren(part("b", "", model.get("title")));
      if (browsing) head.append(upload());
      list.replaceChildren(
        ...model.get("rows").map((row) => {
          const line = part("div", "wb-file");
          if (browsing) {
            const name = button(`${row.folder ? "▸ " : ""}${row.name}`, `${row.folder ? "open folder" : "choose"} ${row.name}`, () => model.send({ choose: row.name }));
            name.classList.add("wb-file-name");
            name.setAttribute("aria-pressed", String(row.name === model.get("chosen")));
            line.append(name, part("span", "wb-file-size", row.size));
          } else {
            line.append(part("span", "wb-file-name", row.name), part("span", "wb-file-size", row.size), button("Download", `download ${row.name}`, () => model.send({ fetch: row.name })));
            if (row.opens) line.append(button("Open", `open ${row.name}`, () => model.send({ fetch: row.name, open: true })));
          }
          return line;
        }),
      );
    };
    const receive = (message, buffers) => {
      if (!message.file) return;
      const data = buffers[0];
      const url = URL.createObjectURL(new Blob([data.buffer ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength) : data], { type: message.type }));
      const link = part("a", "");
      link.href = url;
      if (message.open) link.target = "_blank";
      else link.download = message.file;
      link.rel = "noopener";
      document.body.append(link);
      link.click();
      link.remove();
      setTimeout(() => URL.revokeObjectURL(url), 60_000);
    };
    draw();
    model.on("change:rows change:chosen change:title", draw);
    model.on("msg:custom", receive);
    return () => {
      model.off("change:rows change:chosen change:title", draw);
      model.off("msg:custom", receive);
    };
  },
};
