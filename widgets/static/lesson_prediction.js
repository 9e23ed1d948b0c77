// A question that is answered before the answer is measured. What is said is sent as a message and comes back as state.
const make = (tag, name, text) => {
  const made = document.createElement(tag);
  if (name) made.className = name;
  if (text !== undefined) made.textContent = text;
  return made;
};

// Each widget has a script of its own, so that a count would begin anew in each.
const unique = () => `wbl-${Math.random().toString(36).slice(2)}`;

const chooser = (facts, words, answer, changed) => {
  const holder = make("div", "wbl-choices");
  const group = unique();
  const inputs = facts.choices.map(({ key, text }) => {
    const label = make("label", "wbl-choice");
    const input = make("input");
    Object.assign(input, { type: "radio", name: group, value: key, checked: key === answer });
    input.setAttribute("data-lm-suppress-shortcuts", "true");
    input.addEventListener("change", changed);
    label.append(input, make("span", "", text));
    holder.append(label);
    return input;
  });
  return {
    el: holder,
    read: () => inputs.find((input) => input.checked)?.value ?? null,
    lock: (now) => inputs.forEach((input) => (input.disabled = now)),
  };
};

const slider = (facts, words, answer, changed) => {
  const holder = make("div", "wbl-number");
  const [range, number] = [make("input"), make("input")];
  const middle = facts.low + Math.round((facts.high - facts.low) / 2 / facts.step) * facts.step;
  let touched = answer !== null;
  for (const [input, type] of [[range, "range"], [number, "number"]]) {
    Object.assign(input, { type, min: facts.low, max: facts.high, step: facts.step, value: answer ?? middle });
    input.setAttribute("data-lm-suppress-shortcuts", "true");
    input.setAttribute("aria-label", `${facts.ask} ${facts.unit}`);
    input.addEventListener("keydown", (event) => event.stopPropagation());
    input.addEventListener("input", () => {
      touched = true;
      (input === range ? number : range).value = input.value;
      changed();
    });
  }
  if (answer === null) number.value = "";
  const ends = make("div", "wbl-ends");
  ends.append(make("span", "", facts.low), make("span", "", facts.high));
  const rail = make("div", "wbl-rail");
  rail.append(range, ends);
  holder.append(rail, number, make("span", "wbl-unit", facts.unit));
  return {
    el: holder,
    read: () => {
      const value = Number(number.value);
      return touched && number.value !== "" && value >= facts.low && value <= facts.high ? value : null;
    },
    wrong: () => (touched && number.value !== "" ? words.from_to.replace("{low}", facts.low).replace("{high}", facts.high) : ""),
    lock: (now) => [range, number].forEach((input) => (input.disabled = now)),
  };
};

const CHIPS = { right: "✓", close: "≈", wrong: "✗", none: "–" };

export default {
  render({ model, el }) {
    const [facts, words] = [model.get("facts"), model.get("words")];
    el.classList.add("wbl-live");
    const card = make("div", "wbl-card");
    const asked = make("p", "wbl-ask", facts.ask);
    asked.id = unique();
    card.setAttribute("role", model.get("kind") === "choose" ? "radiogroup" : "group");
    card.setAttribute("aria-labelledby", asked.id);
    const foot = make("div", "wbl-foot");
    const button = make("button", "wbl-button");
    button.type = "button";
    const told = make("span", "wbl-told");
    told.setAttribute("role", "status");
    foot.append(button, told);

    const changed = () => paint();
    const made = { choose: chooser, number: slider, sketch: sketchPad }[model.get("kind")];
    let control;
    const build = () => {
      const before = control?.el;
      control = made(facts, words, model.get("answer"), changed);
      before?.replaceWith(control.el);
    };
    // What another page said, or a cell, is shown here too; what was said here is there already.
    const follow = () => {
      const said = model.get("answer");
      if (said !== null && JSON.stringify(said) !== JSON.stringify(control.read())) build();
      paint();
    };
    build();
    button.addEventListener("click", () => {
      const said = model.get("answer") === null ? control.read() : null;
      model.send({ answer: said });
    });

    const paint = () => {
      const [said, judged] = [model.get("answer") !== null, model.get("judged")];
      const done = Boolean(judged.word);
      control.lock(said || done);
      card.dataset.state = done ? judged.word : said ? "said" : "open";
      button.hidden = done;
      button.textContent = said ? words.change : words.say;
      button.classList.toggle("wbl-quiet", said);
      button.disabled = !said && control.read() === null;
      told.textContent = done ? `${CHIPS[judged.word]} ${words[judged.word]}` : said ? words.said : control.read() === null ? control.wrong?.() || words.choose_first : "";
    };
    card.append(make("p", "wbl-label", words.predict), asked, control.el, foot);
    el.append(card);
    paint();
    model.on("change:answer", follow);
    model.on("change:judged", paint);
    return () => {
      model.off("change:answer", follow);
      model.off("change:judged", paint);
    };
  },
};
