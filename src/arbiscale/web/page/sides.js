// Who draws on each side of the slider, and with which dials.
import * as server from "/page/server.js";

const BICUBIC = "bicubic";
const SERVED = "";
const NOBODY = "none";
const SEED = { name: "seed", kind: "number", value: 0 };

/** One side: a choice of models, and the dials that the chosen one has. */
export class Side {
  constructor(element, changed, failed) {
    this.element = element;
    this.select = element.querySelector("select");
    this.dials = element.querySelector(".dials");
    this.failed = failed;
    this.changed = changed;
    this.select.addEventListener("change", () => this.describe());
  }

  offer(choices, chosen) {
    this.select.replaceChildren(...choices.map(({ value, label }) => new Option(label, value)));
    this.select.value = chosen;
    this.element.hidden = false;
    return this.describe();
  }

  get name() {
    return this.select.value;
  }

  /** Whether this side shows anything. */
  get draws() {
    return this.name !== NOBODY;
  }

  get bicubic() {
    return this.name === BICUBIC;
  }

  /** What a query says of it. */
  get drawn() {
    const drawn = this.name === SERVED ? {} : { model: this.name };
    for (const input of this.dials.querySelectorAll("input")) drawn[input.name] = input.value;
    return drawn;
  }

  /** Show the dials of the chosen model. */
  async describe() {
    try {
      const has = this.bicubic || !this.draws ? {} : await server.model(this.name);
      this.dials.replaceChildren(...dialsOf(has).map((dial) => this.dial(dial)));
      this.changed();
    } catch (error) {
      this.failed(error);
    }
  }

  dial({ name, kind, value, max }) {
    const label = document.createElement("label");
    const input = Object.assign(document.createElement("input"), { name, type: kind });
    label.append(name, input);
    if (kind === "range") {
      Object.assign(input, { min: 0, max: 1, step: 0.01 });
      const shown = document.createElement("output");
      input.value = value;
      shown.value = Number(value).toFixed(2);
      input.addEventListener("input", () => { shown.value = Number(input.value).toFixed(2); });
      label.append(shown);
    } else {
      Object.assign(input, { min: name === "seed" ? 0 : 1, step: 1, value });
      if (max) input.max = max;
    }
    input.addEventListener("input", () => this.changed());
    return label;
  }
}

function dialsOf(model) {
  const dials = [];
  for (const name of ["fidelity", "temperature"]) {
    if (typeof model[name] === "number") dials.push({ name, kind: "range", value: model[name] });
  }
  if (typeof model.steps === "number") dials.push({ name: "steps", kind: "number", value: model.steps, max: model.limits.steps }, SEED);
  else if (typeof model.temperature === "number") dials.push(SEED);
  return dials;
}

/** What may be chosen where `about` is served beside others. */
export function choicesOf(about, others) {
  const served = { value: SERVED, label: nameOf(about) };
  const further = others.map(({ name, aliases }) => ({ value: name, label: [/^\d+$/.test(name) ? `version ${name}` : name, ...aliases].join(" · ") }));
  const first = about.task === "generation" ? { value: NOBODY, label: "nothing" } : { value: BICUBIC, label: "bicubic" };
  return [first, served, ...further];
}

/** What people call the served model. */
export function nameOf(about) {
  if (about.version) return `${about.model ?? "model"} ${about.version}`;
  return about.where.split("/").pop();
}
