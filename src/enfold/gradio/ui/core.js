// The page's runtime: what is shown, what happens on events, and the talk with the server.
// Components are custom elements in light DOM; each patches only what changed.

export const config = JSON.parse(document.getElementById("g-config").textContent);
const app = document.getElementById("app");
const nodes = new Map();
const kinds = new Map();

// ---------------------------------------------------------------------------------------------- small helpers

/** Make an element: h("a", {class: "x", text: "t", onclick: f, "aria-label": "l"}, ...children). Never parses HTML. */
export function h(tag, attributes = {}, ...children) {
  const el = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "text") el.textContent = value;
    else if (name === "class") el.className = value;
    else if (name.startsWith("on")) el.addEventListener(name.slice(2), value);
    else if (name in el && typeof value !== "string" && name !== "list") el[name] = value;
    else el.setAttribute(name, value === true ? "" : value);
  }
  el.append(...children.filter((child) => child !== null && child !== undefined));
  return el;
}

const PATHS = {
  copy: "M9 9h11v11H9zM5 15H4V4h11v1",
  check: "M5 12l5 5L20 7",
  close: "M6 6l12 12M18 6L6 18",
  sun: "M12 7a5 5 0 100 10 5 5 0 000-10zM12 1v2M12 21v2M4.2 4.2l1.4 1.4M18.4 18.4l1.4 1.4M1 12h2M21 12h2M4.2 19.8l1.4-1.4M18.4 5.6l1.4-1.4",
  reset: "M4 4v6h6M4.5 10a8 8 0 11-.5 4",
  chevron: "M6 9l6 6 6-6",
};

/** A line icon, hidden from readers of the screen. */
export function icon(name) {
  const ns = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(ns, "svg");
  for (const [key, value] of Object.entries({ viewBox: "0 0 24 24", class: "g-icon", "aria-hidden": "true" })) svg.setAttribute(key, value);
  const path = document.createElementNS(ns, "path");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}

const length = (value) => (typeof value === "number" ? `${value}px` : value || "");
const same = (a, b) => a === b || JSON.stringify(a) === JSON.stringify(b);
const format = (value) => (value === null || value === undefined ? "" : String(value));

/** A button that copies text and says so. */
export function copyButton(text, onCopy) {
  const button = h("button", { type: "button", class: "g-tool", "aria-label": "Copy", title: "Copy" }, icon("copy"));
  button.addEventListener("click", async () => {
    const value = text();
    try {
      await navigator.clipboard.writeText(value);
    } catch {
      const area = h("textarea", { class: "g-sr", value });
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    button.replaceChildren(icon("check"));
    announce("Copied");
    onCopy?.(value);
    setTimeout(() => button.replaceChildren(icon("copy")), 1500);
  });
  return button;
}

// --------------------------------------------------------------------------------------------------- components

/** Make a component type known: the page's modules call it. */
export function define(type, Kind) {
  kinds.set(type, Kind);
  customElements.define(`g-${type}`, Kind);
}

const isInput = new Set(config.dependencies.flatMap((dep) => dep.inputs));
const isOutput = new Set(config.dependencies.flatMap((dep) => dep.outputs));
const listened = new Set(config.dependencies.flatMap((dep) => dep.targets.map(([id, event]) => `${id}:${event}`)));

export class Base extends HTMLElement {
  setup(entry) {
    this.gid = entry.id;
    this.gtype = entry.type;
    this.props = { ...entry.props };
    this.fieldId = `g-field-${entry.id}`;
    this.id = this.props.elem_id || `component-${entry.id}`;
    this.classList.add(`g-${entry.type}`, "block");
    this.build();
    this.common(this.props);
    this.patch(this.props);
  }

  /** Make the elements, once. */
  build() {}
  /** Show properties; only those in `changed` are new. */
  patch(changed) {}

  get interactive() {
    return this.props.interactive ?? (isInput.has(this.gid) || !isOutput.has(this.gid));
  }

  /** What travels as this component's value. */
  get value() {
    return this.props.value ?? null;
  }

  /** Properties from the server or a script: an event follows when the value is another. */
  update(changed) {
    const before = this.props.value;
    Object.assign(this.props, changed);
    this.common(changed);
    this.patch(changed);
    if ("value" in changed && !same(before, this.props.value)) this.fire("change");
  }

  /** A value the visitor gave. */
  entered(value, event = "input") {
    const before = this.props.value;
    this.props.value = value;
    if (event) this.fire(event);
    if (!same(before, value)) this.fire("change");
  }

  fire(event, data = null) {
    if (listened.has(`${this.gid}:${event}`)) trigger(this.gid, event, data);
  }

  hears(event) {
    return listened.has(`${this.gid}:${event}`);
  }

  common(changed) {
    const p = this.props;
    if ("visible" in changed) {
      this.hidden = p.visible === false || p.visible === "hidden";
      this.parentElement?.dispatchEvent(new Event("g-visibility"));
    }
    if ("elem_classes" in changed) {
      this.classList.remove(...(this.extra || []));
      this.extra = [p.elem_classes || []].flat();
      this.classList.add(...this.extra);
    }
    if ("scale" in changed && p.scale !== undefined) this.style.flexGrow = p.scale;
    if ("min_width" in changed && p.min_width !== undefined) this.style.minWidth = `min(${p.min_width}px, 100%)`;
    if ("container" in changed) this.classList.toggle("bare", p.container === false);
    if (this.labelEl && ("label" in changed || "show_label" in changed)) {
      this.labelEl.textContent = p.label ?? KIND_NAMES[this.gtype] ?? "";
      this.labelEl.classList.toggle("g-sr", p.show_label === false);
    }
    if (this.infoEl && "info" in changed) {
      this.infoEl.textContent = p.info || "";
      this.infoEl.hidden = !p.info;
    }
  }

  /** The row above a field: its label, tools at the end, and the explanation below. */
  head(tag = "label", ...tools) {
    this.labelEl = h(tag, { class: "g-caption", id: `${this.fieldId}-label` });
    if (tag === "label") this.labelEl.htmlFor = this.fieldId;
    this.infoEl = h("div", { class: "g-info", id: `${this.fieldId}-info` });
    const bar = h("div", { class: "g-head" }, this.labelEl, ...tools);
    return [bar, this.infoEl];
  }

  describedBy() {
    return this.props.info ? `${this.fieldId}-info` : null;
  }

  /** How the event that fills this component is doing. */
  status(state) {
    if (!this.statusEl) {
      this.statusEl = h("div", { class: "g-status" }, h("div", { class: "g-bar" }), h("div", { class: "g-eta" }));
      this.append(this.statusEl);
    }
    const [bar, text] = this.statusEl.children;
    this.classList.toggle("pending", state.kind === "pending");
    this.classList.toggle("generating", state.kind === "generating");
    this.classList.toggle("failed", state.kind === "error");
    this.setAttribute("aria-busy", String(state.kind === "pending"));
    const known = typeof state.fraction === "number";
    bar.classList.toggle("known", known);
    bar.style.setProperty("--done", known ? `${Math.min(100, state.fraction * 100)}%` : "");
    text.textContent = state.text || "";
  }
}

const KIND_NAMES = {
  textbox: "Textbox", number: "Number", slider: "Slider", checkbox: "Checkbox", checkboxgroup: "Checkbox Group",
  radio: "Radio", dropdown: "Dropdown", label: "Label", json: "JSON", dataset: "Examples", html: "HTML", markdown: "Markdown",
};

class Textbox extends Base {
  build() {
    this.tools = h("span", { class: "g-tools" });
    this.append(...this.head("label", this.tools));
  }

  field() {
    const { lines = 1, type = "text", max_lines } = this.props;
    const single = lines === 1 && type !== "text";
    const growing = !single;
    const el = h(growing ? "textarea" : "input", { id: this.fieldId, class: "g-field", ...(growing ? { rows: lines } : { type }) });
    el.addEventListener("input", () => {
      this.entered(el.value);
      this.grow();
    });
    el.addEventListener("keydown", (e) => {
      // One line: Enter sends. Several: Shift+Enter sends, Enter breaks the line.
      if (e.key === "Enter" && !e.isComposing && (lines === 1 && (max_lines ?? 1) <= 1 ? !e.shiftKey : e.shiftKey)) {
        e.preventDefault();
        this.fire("submit");
      }
    });
    for (const event of ["focus", "blur"]) el.addEventListener(event, () => this.fire(event));
    el.addEventListener("select", () => {
      const [start, end] = [el.selectionStart, el.selectionEnd];
      this.fire("select", { index: [start, end], value: el.value.slice(start, end) });
    });
    return el;
  }

  patch(changed) {
    const p = this.props;
    if (!this.el || "type" in changed || "lines" in changed) {
      const fresh = this.field();
      this.el ? this.el.replaceWith(fresh) : this.append(h("div", { class: "g-entry" }, fresh));
      this.el = fresh;
      changed = p;
    }
    const el = this.el;
    if ("value" in changed && el.value !== format(p.value)) {
      const follow = p.autoscroll !== false && el.scrollHeight - el.scrollTop - el.clientHeight < 40;
      el.value = format(p.value);
      if (follow) requestAnimationFrame(() => (el.scrollTop = el.scrollHeight));
    }
    el.readOnly = !this.interactive;
    el.placeholder = p.placeholder || "";
    p.max_length == null ? el.removeAttribute("maxlength") : el.setAttribute("maxlength", p.max_length);
    el.dir = p.rtl ? "rtl" : "auto";
    el.style.textAlign = p.text_align || "";
    el.setAttribute("aria-describedby", this.describedBy() || "");
    if (!this.describedBy()) el.removeAttribute("aria-describedby");
    el.enterKeyHint = this.hears("submit") && p.lines === 1 ? "send" : "";
    for (const [name, value] of Object.entries(p.html_attributes || {})) {
      if (!/^on|^style$|^id$/i.test(name)) el.setAttribute(name, value);
    }
    if (p.autofocus && !this.focused) {
      this.focused = true;
      requestAnimationFrame(() => el.focus());
    }
    const entry = el.parentElement;
    for (const [name, event] of [["submit_btn", "submit"], ["stop_btn", "stop"]]) {
      let button = entry.querySelector(`.g-${event}`);
      if (p[name] && !button) {
        button = h("button", { type: "button", class: `g-button g-${event} ${event === "stop" ? "stop" : "primary"} sm`, onclick: () => this.fire(event) });
        entry.append(button);
      }
      if (button) {
        button.hidden = !p[name];
        button.textContent = typeof p[name] === "string" ? p[name] : event === "submit" ? "Send" : "Stop";
      }
    }
    if ("buttons" in changed) {
      const copies = (p.buttons || []).includes("copy");
      this.tools.replaceChildren(...(copies ? [copyButton(() => this.el.value, (value) => this.fire("copy", { value }))] : []));
    }
    this.grow();
  }

  grow() {
    const el = this.el;
    if (el.tagName !== "TEXTAREA") return;
    const { lines = 1, max_lines } = this.props;
    if (CSS.supports("field-sizing", "content")) {
      // The browser does it, without measuring.
      const high = (count) => `${count * 22 + 20}px`;
      Object.assign(el.style, { fieldSizing: "content", minHeight: high(lines), maxHeight: high(max_lines ?? Math.max(20, lines)) });
      return;
    }
    requestAnimationFrame(() => {
      const line = parseFloat(getComputedStyle(el).lineHeight) || 22;
      const edge = el.offsetHeight - el.clientHeight + 18;
      const most = (max_lines ?? Math.max(20, lines)) * line + edge;
      el.style.height = "auto";
      el.style.height = `${Math.min(el.scrollHeight + el.offsetHeight - el.clientHeight, most)}px`;
      el.style.overflowY = el.scrollHeight > most ? "auto" : "hidden";
    });
  }

  get value() {
    return this.props.value ?? (this.interactive ? "" : null);
  }
}

class NumberBox extends Base {
  build() {
    this.el = h("input", { type: "number", class: "g-field", id: this.fieldId, inputmode: "decimal" });
    const read = () => (this.el.value === "" ? null : this.el.valueAsNumber);
    this.el.addEventListener("input", () => this.entered(read()));
    this.el.addEventListener("keydown", (e) => e.key === "Enter" && this.fire("submit"));
    for (const event of ["focus", "blur"]) this.el.addEventListener(event, () => this.fire(event));
    this.append(...this.head(), this.el);
  }

  patch(changed) {
    const p = this.props;
    this.el.step = p.precision === 0 ? "1" : p.step && p.step !== 1 ? p.step : "any";
    this.el.min = p.minimum ?? "";
    this.el.max = p.maximum ?? "";
    this.el.placeholder = p.placeholder || "";
    this.el.readOnly = !this.interactive;
    const shown = this.el.value === "" ? null : this.el.valueAsNumber;
    if ("value" in changed && shown !== (p.value ?? null)) this.el.value = format(p.value);
    if (this.describedBy()) this.el.setAttribute("aria-describedby", this.describedBy());
  }
}

class Slider extends Base {
  build() {
    this.box = h("input", { type: "number", class: "g-field g-slim", inputmode: "decimal" });
    this.range = h("input", { type: "range", id: this.fieldId });
    const tools = h("span", { class: "g-tools" }, this.box);
    this.low = h("span", { class: "g-end" });
    this.high = h("span", { class: "g-end" });
    this.append(...this.head("label", tools), h("div", { class: "g-scale" }, this.low, this.range, this.high));
    this.range.addEventListener("input", () => this.take(this.range.valueAsNumber));
    this.range.addEventListener("change", () => this.fire("release", this.props.value));
    this.box.addEventListener("change", () => {
      const number = Math.min(this.props.maximum, Math.max(this.props.minimum, this.box.valueAsNumber || 0));
      this.take(number);
      this.box.value = format(number);
      this.fire("release", number);
    });
  }

  take(number) {
    this.entered(number);
    this.show();
  }

  show() {
    const p = this.props;
    const value = p.value ?? p.minimum;
    this.range.value = value;
    if (document.activeElement !== this.box) this.box.value = format(value);
    const span = p.maximum - p.minimum;
    this.range.style.setProperty("--done", `${span ? ((value - p.minimum) / span) * 100 : 0}%`);
  }

  patch() {
    const p = this.props;
    for (const el of [this.range, this.box]) {
      Object.assign(el, { min: p.minimum, max: p.maximum, step: p.step ?? "any", disabled: !this.interactive });
    }
    const name = p.label ?? "Slider";
    this.box.setAttribute("aria-label", `number input for ${name}`);
    this.range.setAttribute("aria-label", `range slider for ${name}`);
    this.low.textContent = p.minimum;
    this.high.textContent = p.maximum;
    if (this.describedBy()) this.range.setAttribute("aria-describedby", this.describedBy());
    this.show();
  }
}

class Checkbox extends Base {
  build() {
    this.el = h("input", { type: "checkbox", id: this.fieldId });
    this.labelEl = h("span", {});
    this.infoEl = h("div", { class: "g-info", id: `${this.fieldId}-info` });
    this.append(h("label", { class: "g-check" }, this.el, this.labelEl), this.infoEl);
    this.el.addEventListener("change", () => {
      this.entered(this.el.checked);
      this.fire("select", { index: 0, value: this.props.label, selected: this.el.checked });
    });
  }

  patch() {
    this.el.checked = Boolean(this.props.value);
    this.el.disabled = !this.interactive;
    if (this.describedBy()) this.el.setAttribute("aria-describedby", this.describedBy());
  }

  get value() {
    return Boolean(this.props.value);
  }
}

class Choices extends Base {
  get kind() {
    return "radio";
  }

  build() {
    this.list = h("div", { class: "g-choices", role: this.kind === "radio" ? "radiogroup" : "group", "aria-labelledby": `${this.fieldId}-label` });
    this.append(...this.head("span"), this.list);
  }

  patch(changed) {
    if ("choices" in changed) {
      this.list.replaceChildren(
        ...(this.props.choices || []).map(([label, value], index) => {
          const input = h("input", { type: this.kind, name: this.fieldId, onchange: () => this.pick(index, input.checked) });
          input.choice = value;
          return h("label", { class: "g-choice" }, input, h("span", { text: label }));
        }),
      );
    }
    if (this.props.rtl) this.list.dir = "rtl";
    if (this.describedBy()) this.list.setAttribute("aria-describedby", this.describedBy());
    for (const input of this.list.querySelectorAll("input")) {
      input.checked = this.holds(input.choice);
      input.disabled = !this.interactive;
    }
  }

  holds(value) {
    return this.props.value === value;
  }

  pick(index) {
    const value = this.props.choices[index][1];
    this.entered(value);
    this.fire("select", { index, value, selected: true });
  }
}

class CheckboxGroup extends Choices {
  get kind() {
    return "checkbox";
  }

  holds(value) {
    return (this.props.value || []).includes(value);
  }

  pick(index, selected) {
    const value = this.props.choices[index][1];
    const chosen = new Set(this.props.value || []);
    selected ? chosen.add(value) : chosen.delete(value);
    this.entered(this.props.choices.map(([, each]) => each).filter((each) => chosen.has(each)));
    this.fire("select", { index, value, selected });
  }

  get value() {
    return this.props.value || [];
  }
}

class Dropdown extends Base {
  build() {
    this.chips = h("div", { class: "g-chips", hidden: true });
    this.slot_ = h("div", { class: "g-entry" });
    this.append(...this.head(), this.chips, this.slot_);
  }

  get many() {
    return Boolean(this.props.multiselect);
  }

  patch(changed) {
    const p = this.props;
    if (!this.el || "choices" in changed || "multiselect" in changed || "allow_custom_value" in changed) this.make();
    this.el.disabled = !this.interactive;
    if (this.describedBy()) this.el.setAttribute("aria-describedby", this.describedBy());
    this.show();
  }

  make() {
    const p = this.props;
    const choices = p.choices || [];
    if (p.allow_custom_value) {
      const list = h("datalist", { id: `${this.fieldId}-list` }, ...choices.map(([label]) => h("option", { value: format(label) })));
      this.el = h("input", { id: this.fieldId, class: "g-field", list: list.id, autocomplete: "off" });
      this.el.addEventListener("change", () => this.typed());
      this.el.addEventListener("keyup", (e) => this.fire("key_up", { key: e.key, input_value: this.el.value }));
      this.slot_.replaceChildren(this.el, list);
    } else {
      const options = choices.slice(0, p.num_choices_shown ?? choices.length).map(([label], index) => h("option", { value: String(index), text: label }));
      this.el = h("select", { id: this.fieldId, class: "g-field" }, ...options);
      this.el.addEventListener("change", () => this.el.value !== "" && this.choose(Number(this.el.value)));
      this.slot_.replaceChildren(this.el, icon("chevron"));
    }
    for (const event of ["focus", "blur"]) this.el.addEventListener(event, () => this.fire(event));
  }

  typed() {
    const text = this.el.value;
    const index = (this.props.choices || []).findIndex(([label]) => String(label) === text);
    if (index >= 0) return this.choose(index);
    if (this.many) {
      if (text && !this.props.value?.includes(text)) this.entered([...(this.props.value || []), text]);
    } else this.entered(text === "" ? null : text);
    this.show();
  }

  choose(index) {
    const value = this.props.choices[index][1];
    if (this.many) {
      const chosen = this.props.value || [];
      const full = this.props.max_choices && chosen.length >= this.props.max_choices;
      if (!chosen.includes(value) && !full) this.entered([...chosen, value]);
    } else this.entered(value);
    this.fire("select", { index, value, selected: true });
    this.show();
  }

  labelOf(value) {
    return format((this.props.choices || []).find(([, each]) => each === value)?.[0] ?? value);
  }

  show() {
    const p = this.props;
    if (this.many) {
      const chosen = p.value || [];
      this.chips.hidden = !chosen.length;
      this.chips.replaceChildren(
        ...chosen.map((value) =>
          h("span", { class: "g-chip" }, this.labelOf(value),
            h("button", { type: "button", "aria-label": `Remove ${this.labelOf(value)}`, disabled: !this.interactive, onclick: () => {
              this.entered(chosen.filter((each) => each !== value));
              this.fire("select", { index: (p.choices || []).findIndex(([, each]) => each === value), value, selected: false });
              this.show();
              this.el.focus();
            } }, icon("close"))),
        ),
      );
    }
    if (this.el.tagName === "INPUT") {
      this.el.value = this.many ? "" : p.value === null || p.value === undefined ? "" : this.labelOf(p.value);
      return;
    }
    let blank = this.el.querySelector("option[value='']");
    const index = this.many ? -1 : (p.choices || []).findIndex(([, each]) => each === p.value);
    if (index < 0 && !blank) {
      blank = h("option", { value: "", text: this.many ? "Add…" : "Choose…" });
      this.el.prepend(blank);
    }
    if (index >= 0) blank?.remove();
    this.el.value = index < 0 ? "" : String(index);
  }

  get value() {
    return this.many ? this.props.value || [] : this.props.value ?? null;
  }
}

class Button extends Base {
  build() {
    this.classList.remove("block");
    this.el = h("button", { type: "button", class: "g-button" });
    this.el.addEventListener("click", () => {
      if (this.props.link) window.open(this.props.link, this.props.link_target || "_self", "noopener");
      this.fire("click");
    });
    this.append(this.el);
  }

  patch() {
    const p = this.props;
    this.el.className = `g-button ${p.variant || "secondary"} ${p.size || "lg"}`;
    this.el.textContent = format(p.value);
    this.el.disabled = p.interactive === false;
  }

  status(state) {
    this.el.classList.toggle("busy", state.kind === "pending");
  }
}

class Label extends Base {
  build() {
    this.top = h("div", { class: "g-top" });
    this.list = h("ul", { class: "g-confidences" });
    this.empty = h("div", { class: "g-empty", text: "The result appears here." });
    this.append(...this.head("span"), h("div", { class: "g-result", "aria-live": "polite" }, this.empty, this.top, this.list));
    this.rows = new Map();
  }

  patch(changed) {
    const p = this.props;
    if ("color" in changed) this.style.background = p.color || "";
    if (!("value" in changed) && !("show_heading" in changed)) return;
    const value = p.value || {};
    const known = value.label !== undefined && value.label !== null;
    this.empty.hidden = known;
    this.top.hidden = !known || p.show_heading === false;
    this.top.textContent = known ? value.label : "";
    const confidences = value.confidences || [];
    this.list.hidden = !confidences.length;
    // Rows are kept by label, so that bars move to their new length instead of jumping.
    const rows = confidences.map(({ label, confidence }, index) => {
      const row = this.rows.get(label) || this.row(label);
      row.index = index;
      const percent = Math.max(0, Math.min(100, confidence * 100));
      const text = `${percent >= 99.95 || percent < 0.05 ? Math.round(percent) : percent.toFixed(percent < 10 ? 1 : 0)}%`;
      row.classList.toggle("first", index === 0);
      row.meter.setAttribute("aria-valuenow", percent.toFixed(1));
      row.meter.setAttribute("aria-valuetext", text);
      row.percent.textContent = text;
      requestAnimationFrame(() => row.meter.style.setProperty("--done", `${percent}%`));
      return [label, row];
    });
    this.rows = new Map(rows);
    this.list.replaceChildren(...rows.map(([, row]) => row));
  }

  row(label) {
    const meter = h("div", { class: "g-meter", role: "meter", "aria-valuemin": "0", "aria-valuemax": "100", "aria-label": String(label) });
    const percent = h("span", { class: "g-percent", "aria-hidden": "true" });
    const row = h("li", {}, h("div", { class: "g-name" }, h("span", { text: label }), percent), meter);
    Object.assign(row, { meter, percent });
    if (this.hears("select")) {
      row.tabIndex = 0;
      row.setAttribute("role", "button");
      const pick = () => this.fire("select", { index: row.index, value: label });
      row.addEventListener("click", pick);
      row.addEventListener("keydown", (e) => e.key === "Enter" && pick());
    }
    return row;
  }
}

class State extends Base {
  build() {
    this.hidden = true;
  }

  get value() {
    return null;
  }
}

// ------------------------------------------------------------------------------------------------------ layouts

class Layout extends Base {
  build() {
    this.classList.remove("block");
    // A layout whose contents are all hidden takes no room.
    this.addEventListener("g-visibility", () => this.refresh());
    this.place = this;
  }

  refresh() {
    const children = [...this.place.children].filter((child) => child instanceof Base);
    // A frame of fields is as wide as its fields ask for together, not as its own properties say.
    if (this.gtype === "form") {
      this.style.setProperty("--share", children.reduce((sum, child) => sum + (child.hidden ? 0 : child.props.scale ?? 1), 0) || 1);
      this.style.flexGrow = this.style.minWidth = "";
    }
    this.classList.toggle("empty", children.length > 0 && children.every((child) => child.hidden || child.classList.contains("empty")));
    this.parentElement?.dispatchEvent(new Event("g-visibility"));
  }

  patch(changed) {
    const p = this.props;
    if ("variant" in changed) this.dataset.variant = p.variant;
    if ("equal_height" in changed) this.classList.toggle("equal", Boolean(p.equal_height));
    for (const [name, property] of [["height", "height"], ["max_height", "maxHeight"], ["min_height", "minHeight"]]) {
      if (name in changed) this.style[property] = length(p[name]);
    }
  }
}

class Accordion extends Layout {
  build() {
    super.build();
    this.caption = h("span", {});
    this.heading = h("button", { type: "button", class: "g-fold", "aria-controls": `${this.fieldId}-in` }, this.caption, icon("chevron"));
    this.place = h("div", { class: "g-in", id: `${this.fieldId}-in` });
    this.append(this.heading, this.place);
    this.heading.addEventListener("click", () => {
      this.update({ open: !this.props.open });
      this.fire(this.props.open ? "expand" : "collapse");
    });
  }

  patch(changed) {
    super.patch(changed);
    const open = this.props.open !== false;
    this.props.open = open;
    this.caption.textContent = this.props.label || "";
    this.heading.setAttribute("aria-expanded", String(open));
    this.place.hidden = !open;
  }
}
class Tabs extends Layout {
  build() {
    super.build();
    this.bar = h("div", { class: "g-tabbar", role: "tablist" });
    this.place = h("div", { class: "g-pages" });
    this.append(this.bar, this.place);
    this.bar.addEventListener("keydown", (e) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[e.key];
      const usable = [...this.bar.children].filter((tab) => !tab.hidden && !tab.disabled);
      let at = usable.indexOf(document.activeElement);
      if (e.key === "Home") at = 0;
      else if (e.key === "End") at = usable.length - 1;
      else if (step) at = (at + (getComputedStyle(this).direction === "rtl" ? -step : step) + usable.length) % usable.length;
      else return;
      e.preventDefault();
      usable[at].focus();
      usable[at].click();
    });
  }

  refresh() {
    const pages = [...this.place.children];
    this.bar.replaceChildren(
      ...pages.map((page, index) => {
        page.key = page.props.id ?? index;
        page.tab = h("button", { type: "button", role: "tab", id: `${page.fieldId}-tab`, "aria-controls": page.id, text: page.props.label || `Tab ${index + 1}` });
        page.tab.hidden = page.props.visible === false;
        page.tab.disabled = page.props.interactive === false;
        page.setAttribute("aria-labelledby", page.tab.id);
        page.tab.addEventListener("click", () => {
          this.open(page.key);
          page.fire("select", { index, value: page.props.label, selected: true });
          this.fire("select", { index, value: page.props.label, selected: true });
          this.fire("change");
        });
        return page.tab;
      }),
    );
    this.open(this.props.selected ?? pages.find((page) => !page.tab.hidden)?.key);
  }

  patch(changed) {
    super.patch(changed);
    if ("selected" in changed && this.bar.children.length) this.open(this.props.selected);
  }

  open(key) {
    this.props.selected = key;
    for (const page of this.place.children) {
      const on = page.key === key;
      page.tab.setAttribute("aria-selected", String(on));
      page.tab.tabIndex = on ? 0 : -1;
      page.hidden = !on;
    }
  }
}

class TabItem extends Layout {
  build() {
    super.build();
    this.setAttribute("role", "tabpanel");
  }

  common(changed) {
    const { visible, ...rest } = changed;
    super.common(rest);
    if (this.tab && visible !== undefined) this.tab.hidden = visible === false;
  }
}

for (const [type, Kind] of Object.entries({
  textbox: Textbox, number: NumberBox, slider: Slider, checkbox: Checkbox, radio: class extends Choices {}, checkboxgroup: CheckboxGroup,
  dropdown: Dropdown, button: Button, label: Label, state: State, row: class extends Layout {}, column: class extends Layout {},
  group: class extends Layout {}, form: class extends Layout {}, accordion: Accordion, tabs: Tabs, tabitem: TabItem,
})) define(type, Kind);

// ------------------------------------------------------------------------------------------- notes to the visitor

const announcer = h("div", { class: "g-sr", role: "status", "aria-live": "polite" });
const toasts = h("div", { class: "g-toasts", role: "region", "aria-label": "Notifications" });

/** Say something to readers of the screen. */
export function announce(text) {
  announcer.textContent = "";
  requestAnimationFrame(() => (announcer.textContent = text));
}

/** Show a note: level error, warning, info or success; it leaves after `duration` seconds, or stays when null. */
export function toast(level, title, message, duration = 10) {
  const note = h("div", { class: `g-toast ${level}`, role: level === "error" ? "alert" : "status" },
    h("div", {}, h("strong", { text: title }), h("p", { text: message })),
    h("button", { type: "button", class: "g-tool", "aria-label": "Close", onclick: () => note.remove() }, icon("close")));
  toasts.append(note);
  while (toasts.children.length > 5) toasts.firstChild.remove();
  if (duration !== null && duration !== undefined) {
    let timer = setTimeout(() => note.remove(), duration * 1000);
    note.addEventListener("mouseenter", () => clearTimeout(timer));
    note.addEventListener("mouseleave", () => (timer = setTimeout(() => note.remove(), 2000)));
  }
  return note;
}

// ------------------------------------------------------------------------------------------------------- events

const dependencies = new Map(config.dependencies.map((dep) => [dep.id, { ...dep, jobs: new Set(), again: null }]));

/** Run what listens to an event of a block. */
export function trigger(id, event, data = null) {
  for (const dep of dependencies.values()) {
    if (dep.targets.some(([target, name]) => target === id && name === event)) run(dep, id, data);
  }
}

async function run(dep, triggerId, eventData) {
  for (const id of dep.cancels) for (const job of [...(dependencies.get(id)?.jobs || [])]) cancel(job);
  if (dep.jobs.size && dep.trigger_mode === "once") return;
  if (dep.jobs.size && dep.trigger_mode === "always_last") {
    dep.again = [triggerId, eventData];
    return;
  }
  const job = { dep, id: null, data: null, frame: 0, started: performance.now(), cancelled: false };
  dep.jobs.add(job);
  let failed = false;
  try {
    let values = dep.inputs.map((id) => nodes.get(id)?.value ?? null);
    const script = dep.js && window.__g_js?.[dep.id];
    if (script) {
      const extra = dep.backend_fn ? [] : dep.outputs.map((id) => nodes.get(id)?.value ?? null);
      let result = await script(...values, ...extra);
      const wanted = dep.backend_fn ? dep.inputs.length : dep.outputs.length;
      if (!Array.isArray(result) || (wanted === 1 && result.length !== 1)) result = [result];
      if (dep.backend_fn) values = result.slice(0, wanted);
      else if (result[0] !== undefined || result.length > 1) apply(dep, result);
    }
    if (dep.backend_fn) failed = !(await submit(job, values, triggerId, eventData));
  } catch (error) {
    failed = true;
    toast("error", "Error", error.message || String(error));
    progress(job, { kind: "error" });
  } finally {
    dep.jobs.delete(job);
  }
  if (job.cancelled) return;
  for (const next of dependencies.values()) {
    if (next.trigger_after !== dep.id) continue;
    if ((next.trigger_only_on_success && failed) || (next.trigger_only_on_failure && !failed)) continue;
    run(next, triggerId, null);
  }
  if (dep.again) {
    const [id, data] = dep.again;
    dep.again = null;
    run(dep, id, data);
  }
}

function apply(dep, values) {
  dep.outputs.forEach((id, index) => {
    const node = nodes.get(id);
    const value = values[index];
    if (!node || value === undefined) return;
    if (value && typeof value === "object" && value.__type__ === "update") {
      const { __type__, ...changed } = value;
      node.update(changed);
    } else if (node.gtype !== "state") node.update({ value });
  });
}

function progress(job, state) {
  const { dep } = job;
  if (dep.show_progress === "hidden") return;
  const shown = state.kind === "pending" && dep.show_progress === "full" ? state : { ...state, text: "" };
  for (const id of dep.show_progress_on || dep.outputs) nodes.get(id)?.status?.(shown);
}

// ---------------------------------------------------------------------------------------- the talk with the server

const session = [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
const pending = new Map();
const early = new Map();
let joining = 0;
let listening = false;
let sequence = 0;

const address = (path) => new URL(`gradio_api/${path}`, document.baseURI.split(/[?#]/)[0]);
const wait = (ms) => new Promise((done) => setTimeout(done, ms));

function post(path, body) {
  return fetch(address(path), {
    method: "POST", headers: { "Content-Type": "application/json", "X-Gradio-User": "app" }, body: JSON.stringify(body), credentials: "same-origin",
  });
}

/** Send a call and wait for its end; whether it succeeded. */
async function submit(job, data, triggerId, eventData) {
  progress(job, { kind: "pending", text: "" });
  if (job.dep.show_progress !== "hidden") announce("Running");
  const ended = new Promise((done) => (job.done = done));
  job.clock = setInterval(() => tick(job), 100);
  joining += 1;
  try {
    let answer;
    try {
      answer = await post("queue/join", { data, event_data: eventData, fn_index: job.dep.id, trigger_id: triggerId, session_hash: session });
    } catch {
      throw new Error("The server cannot be reached.");
    }
    const body = await answer.json().catch(() => ({}));
    if (!answer.ok) throw new Error(detail(body, answer.status));
    job.id = body.event_id;
    pending.set(job.id, job);
    for (const message of early.get(job.id) || []) receive(message);
    early.delete(job.id);
    if (job.cancelled) cancel(job);
  } catch (error) {
    clearInterval(job.clock);
    throw error;
  } finally {
    joining -= 1;
  }
  listen();
  const success = await ended;
  clearInterval(job.clock);
  return success;
}

function detail(body, status) {
  if (Array.isArray(body.detail)) return body.detail.map((each) => each.message).filter(Boolean).join(" ");
  return body.detail || `The server answered ${status}.`;
}

function tick(job) {
  const seconds = (performance.now() - job.started) / 1000;
  const clock = job.eta ? `${seconds.toFixed(1)} / ${job.eta.toFixed(1)} s` : `${seconds.toFixed(1)} s`;
  if (job.units) {
    const [unit] = job.units.slice(-1);
    const fraction = unit.progress ?? (unit.length ? unit.index / unit.length : undefined);
    const count = unit.length ? `${unit.index ?? 0}/${unit.length} ${unit.unit || ""}` : "";
    const share = !count && fraction !== undefined && fraction !== null ? `${Math.round(fraction * 100)}%` : "";
    const text = [unit.desc, count || share, clock].filter(Boolean).join(" · ");
    progress(job, { kind: "pending", text, fraction: fraction ?? undefined });
  } else if (!job.generating && seconds > 0.3) {
    const queue = job.rank > 0 ? `${job.rank} before you · ` : "";
    progress(job, { kind: "pending", text: queue + clock });
  }
}

async function listen() {
  if (listening) return;
  listening = true;
  let failures = 0;
  let lost = null;
  try {
    while (pending.size || joining) {
      let closed = false;
      try {
        const url = address("queue/data");
        url.searchParams.set("session_hash", session);
        url.searchParams.set("after", sequence);
        const answer = await fetch(url, { credentials: "same-origin", headers: { Accept: "text/event-stream" } });
        if (!answer.ok || !answer.body) throw new Error(String(answer.status));
        failures = 0;
        lost?.remove();
        closed = await read(answer.body);
      } catch {
        failures += 1;
        if (failures === 3) lost = toast("warning", "Connection lost", "Trying to reach the server again…", null);
        if (failures > 12) {
          lost?.remove();
          for (const job of [...pending.values()]) finish(job, { success: false, output: { error: "The server cannot be reached." } });
          return;
        }
      }
      if (!closed) await wait(Math.min(4000, 150 * 2 ** failures));
    }
  } finally {
    listening = false;
    if (pending.size) listen();
  }
}

async function read(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return false;
    const frames = (rest + value).split("\n\n");
    rest = frames.pop();
    for (const frame of frames) {
      if (!frame.startsWith("data: ")) continue;
      const message = JSON.parse(frame.slice(6));
      if (message.seq) {
        if (message.seq <= sequence) continue;
        sequence = message.seq;
      }
      if (message.msg === "close_stream") return true;
      if (message.session_not_found) {
        // The server was started anew: what it was doing for us is gone.
        sequence = 0;
        for (const job of [...pending.values()]) finish(job, { success: false, output: { error: "The server was restarted; please try again." } });
        return true;
      }
      receive(message);
    }
  }
}

function receive(message) {
  const job = pending.get(message.event_id);
  if (!job) {
    if (message.event_id && joining) early.set(message.event_id, [...(early.get(message.event_id) || []), message]);
    return;
  }
  switch (message.msg) {
    case "estimation":
      job.rank = message.rank;
      job.eta = message.rank_eta;
      break;
    case "process_starts":
      job.rank = 0;
      job.eta = message.eta;
      break;
    case "progress":
      job.units = message.progress_data;
      tick(job);
      break;
    case "log":
      if (message.visible !== false) toast(message.level, message.title, message.log, message.duration);
      break;
    case "process_generating":
      job.units = null;
      if (!job.generating) progress(job, { kind: "generating" });
      job.generating = true;
      job.data = job.data ? job.data.map((value, index) => edit(value, message.output.data[index])) : message.output.data;
      changedStates(message.output);
      // However fast values come, the page paints once a frame.
      job.frame ||= requestAnimationFrame(() => {
        job.frame = 0;
        if (pending.has(job.id)) apply(job.dep, job.data.map((value) => (value && typeof value === "object" ? structuredClone(value) : value)));
      });
      break;
    case "process_completed":
      finish(job, message);
  }
}

function finish(job, message) {
  pending.delete(job.id);
  cancelAnimationFrame(job.frame);
  clearInterval(job.clock);
  const output = message.output || {};
  if (message.success) {
    if (output.data && !job.cancelled) apply(job.dep, output.data);
    progress(job, { kind: "done" });
    changedStates(output);
    if (job.dep.show_progress !== "hidden" && !job.cancelled) announce("Done");
    if (job.dep.scroll_to_output && output.data) reveal(job.dep);
  } else {
    progress(job, { kind: "error", text: "" });
    if (output.visible !== false) toast("error", output.title || "Error", output.error || "Something went wrong on the server.", "duration" in output ? output.duration : 10);
  }
  job.done?.(Boolean(message.success));
}

function reveal(dep) {
  const el = nodes.get(dep.outputs[0]);
  const box = el?.getBoundingClientRect();
  if (box && (box.top > innerHeight || box.bottom < 0)) el.scrollIntoView({ behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth", block: "nearest" });
}

function changedStates(output) {
  for (const id of output.changed_state_ids || []) trigger(id, "change");
}

function cancel(job) {
  job.cancelled = true;
  if (!job.id) return;
  post("cancel", { event_id: job.id, session_hash: session, fn_index: job.dep.id }).catch(() => {});
  finish(job, { success: true, output: {} });
}

/** Apply the edits of one output to its value: see the wire protocol. */
export function edit(value, edits) {
  for (const [action, path, change] of edits) {
    if (!path.length) {
      value = action === "replace" ? change : action === "append" && Array.isArray(value) ? [...value, ...change] : value + change;
      continue;
    }
    let at = value;
    for (const step of path.slice(0, -1)) at = at[step];
    const last = path[path.length - 1];
    if (action === "replace") at[last] = change;
    else if (action === "append") at[last] = Array.isArray(at[last]) ? [...at[last], ...change] : at[last] + change;
    else if (action === "add") Array.isArray(at) ? at.splice(last, 0, change) : (at[last] = change);
    else Array.isArray(at) ? at.splice(last, 1) : delete at[last];
  }
  return value;
}

// --------------------------------------------------------------------------------------------------- the page itself

const MODULES = { markdown: "markdown.js", html: "markdown.js", json: "json.js", dataset: "dataset.js" };

function place(branch, into, entries) {
  const entry = entries.get(branch.id);
  let target = into;
  let node = null;
  if (entry) {
    const Kind = kinds.get(entry.type);
    if (!Kind) throw new Error(`this page cannot show a ${entry.type}`);
    node = new Kind();
    node.setup(entry);
    nodes.set(entry.id, node);
    into.append(node);
    target = node.place || node;
  }
  for (const child of branch.children || []) place(child, target, entries);
  if (node instanceof Layout) node.refresh();
}

function footer() {
  const items = [];
  for (const link of config.footer_links) {
    if (link === "api") {
      items.push(h("button", { type: "button", text: "Use via API", onclick: async () => (await import("./api.js")).open() }));
    } else if (link?.url && /^(https?:|\/|\.)/.test(link.url)) {
      items.push(h("a", { href: link.url, text: link.label || link.url, rel: "noopener" }));
    }
  }
  const theme = h("button", { type: "button", "aria-label": "Switch between light and dark" }, icon("sun"));
  theme.addEventListener("click", () => {
    const dark = document.body.classList.toggle("dark");
    document.documentElement.style.colorScheme = dark ? "dark" : "light";
    theme.setAttribute("aria-pressed", String(dark));
  });
  return h("footer", { class: "g-footer" }, ...items, h("span", { text: "Built with enfold" }), theme);
}

async function begin() {
  const entries = new Map(config.components.map((entry) => [entry.id, entry]));
  const modules = new Set(config.components.map((entry) => MODULES[entry.type]).filter(Boolean));
  await Promise.all([...modules].map((name) => import(`./${name}`)));
  const main = h("main", { class: "g-main" });
  if (config.fill_width) app.classList.add("fill-width");
  if (config.fill_height) app.classList.add("fill-height");
  place(config.layout, main, entries);
  app.replaceChildren(main, footer());
  document.body.append(toasts, announcer);
  for (const branch of nodes.values()) if (branch instanceof Layout) branch.refresh();
  performance.mark("ui-ready");
  document.documentElement.dataset.ready = "true";
  if (config.connect_heartbeat) beat();
  window.__g_load?.();
  for (const dep of dependencies.values()) if (dep.targets.some(([, event]) => event === "load")) run(dep, null, null);
}

async function beat() {
  for (let failures = 0; failures < 30; failures += 1) {
    try {
      const answer = await fetch(address(`heartbeat/${session}`), { credentials: "same-origin" });
      if (!answer.ok) return;
      const reader = answer.body.getReader();
      while (!(await reader.read()).done) failures = 0;
    } catch {
      /* tried again below */
    }
    await wait(Math.min(60_000, 1000 * 2 ** failures));
  }
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", (e) => {
  if (new URLSearchParams(location.search).get("__theme")) return;
  document.body.classList.toggle("dark", e.matches);
  document.documentElement.style.colorScheme = e.matches ? "dark" : "light";
});

begin().catch((error) => {
  app.replaceChildren(h("p", { class: "g-fatal", text: `The page could not be shown: ${error.message}` }));
  throw error;
});
