// What runs and what waits, in one line of a fixed size; messages lie over what is below and go away by themselves,
// but for errors, which wait for their reader. Time left counts down between two words of the kernel.
const STAYS = 12_000;

const time = (seconds) => {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  return whole < 3600 ? `${Math.floor(whole / 60)} min ${whole % 60} s` : `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
};

export default {
  render({ model, el }) {
    el.classList.add("wb-work");
    const dot = part("span", "wb-dot");
    const said = part("span", "wb-doing");
    const link = part("a", "wb-dashboard", "dashboard");
    link.target = "_blank";
    link.rel = "noopener";
    link.title = "Dask's own page: what each worker does";
    const bar = part("span", "wb-progress");
    bar.setAttribute("role", "progressbar");
    bar.setAttribute("aria-label", "progress of the running work");
    const filled = bar.appendChild(part("span", ""));
    const left = part("span", "wb-left-time");
    const cancel = part("button", "wb-small", "Cancel");
    cancel.type = "button";
    cancel.title = "Stop what runs, and drop what waits";
    const more = part("button", "wb-small");
    more.type = "button";
    more.setAttribute("aria-expanded", "false");
    const list = part("div", "wb-waiting");
    list.hidden = true;
    const messages = part("div", "wb-messages");
    messages.setAttribute("aria-live", "polite");
    el.append(dot, said, link, bar, left, more, cancel, list, messages);

    let end = null;
    const count = () => (left.textContent = end === null ? "" : `${time((end - Date.now()) / 1000)} left`);
    const clock = setInterval(count, 1000);

    const draw = () => {
      const { title, message, done, seconds } = model.get("running");
      const waiting = model.get("waiting");
      el.classList.toggle("wb-busy", Boolean(title));
      said.textContent = title ? (message ? `${title}: ${message}` : title) : model.get("idle");
      said.title = said.textContent;
      link.hidden = !model.get("link");
      if (!link.hidden) link.href = model.get("link");
      bar.style.visibility = title ? "" : "hidden";
      filled.style.width = `${100 * (done ?? 0)}%`;
      bar.setAttribute("aria-valuenow", String(Math.round(100 * (done ?? 0))));
      end = title && seconds != null ? Date.now() + 1000 * seconds : null;
      count();
      cancel.style.display = title ? "" : "none";
      more.style.display = waiting.length ? "" : "none";
      more.textContent = `${waiting.length} waiting`;
      if (!waiting.length) fold(false);
      list.replaceChildren(
        ...waiting.map((job) => {
          const row = part("div", "", job.title);
          const out = part("button", "wb-small", "×");
          out.type = "button";
          out.title = "take it out";
          out.setAttribute("aria-label", `take ${job.title} out`);
          out.addEventListener("click", () => model.send({ cancel: job.number }));
          row.append(out);
          return row;
        }),
      );
    };
    const fold = (open) => {
      list.hidden = !open;
      more.setAttribute("aria-expanded", String(open));
    };

    const timers = new Map();
    const tell = () => {
      messages.replaceChildren();
      for (const kind of ["error", "done", "note"]) {
        const text = model.get(kind);
        clearTimeout(timers.get(kind));
        if (!text) continue;
        const box = part("div", `wb-message wb-${kind}`, text);
        if (kind === "error") {
          box.setAttribute("role", "alert");
          box.tabIndex = 0;
        } else {
          timers.set(kind, setTimeout(() => model.send({ dismiss: kind }), STAYS));
          box.addEventListener("pointerenter", () => clearTimeout(timers.get(kind)));
        }
        const gone = part("button", "wb-small", "Dismiss");
        gone.type = "button";
        gone.addEventListener("click", () => model.send({ dismiss: kind }));
        box.append(gone);
        messages.append(box);
      }
    };

    // A kernel that was started anew knows nothing of this panel: whoever clicks on would wait for ever.
    const orphan = () => {
      const panel = el.closest(".wb-panel");
      if (!panel || panel.querySelector(".wb-orphan")) return;
      const box = part("div", "wb-orphan", "The kernel was restarted or is gone, so this panel is only a picture. Run its cell again; Restore then takes the session up.");
      box.setAttribute("role", "alert");
      panel.prepend(box);
    };

    cancel.addEventListener("click", () => model.send({ cancel: -1 }));
    more.addEventListener("click", () => fold(list.hidden));
    draw();
    tell();
    model.on("change:running change:waiting change:idle change:link", draw);
    model.on("change:error change:done change:note", tell);
    model.on("comm_live_update", orphan);
    return () => {
      clearInterval(clock);
      for (const timer of timers.values()) clearTimeout(timer);
      model.off("change:running change:waiting change:idle change:link", draw);
      model.off("change:error change:done change:note", tell);
      model.off("comm_live_update", orphan);
    };
  },
};
