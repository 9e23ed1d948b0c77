// What a hand sets goes to the kernel as a message of its own. A model's saved state waits until the kernel is done with
// the state before, and a click elsewhere does not wait: Apply would come before what is to be applied. While the
// hand still moves, only the newest value is sent, when the kernel is done with the one before.
function teller(model, name) {
  let busy = 0;
  let late = false;

  const send = () => {
    late = false;
    busy += 1;
    const status = (message) => {
      if (message.content.execution_state !== "idle") return;
      busy -= 1;
      if (late && !busy) send();
    };
    model.send({ [name]: model.get(name) }, { iopub: { status } });
  };

  return (value, moving = false) => {
    model.set(name, value);
    if (moving && busy) late = true;
    else send();
  };
}
