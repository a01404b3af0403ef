// Lines of several speakers: to read, and to write with tags after a colon; or the same as one text.

import { Base, copyButton, define, h, icon, serve, tool } from "./core.js";
import "./icons.js";

const HUES = [212, 356, 130, 40, 275, 180, 320, 90, 20, 240];

/** A menu of tags under a field: it opens after a colon and puts the tag in its place. */
function tags(field, names, id, done) {
  const menu = h("ul", { class: "g-tags", id, role: "listbox", "aria-label": "Tags", hidden: true });
  Object.assign(field, { role: "combobox", ariaAutoComplete: "list", ariaExpanded: "false" });
  field.setAttribute("aria-controls", id);
  let at = 0;
  const begun = () => /:([\w-]*)$/.exec(field.value.slice(0, field.selectionStart));
  const close = () => {
    menu.hidden = true;
    field.ariaExpanded = "false";
    field.removeAttribute("aria-activedescendant");
  };
  const pick = (name) => {
    const end = field.selectionStart;
    field.setRangeText(name, begun()?.index ?? end, end, "end");
    close();
    done();
  };
  const mark = (step) => {
    const options = [...menu.children];
    at = (at + step + options.length) % options.length;
    options.forEach((option, index) => (option.ariaSelected = String(index === at)));
    field.setAttribute("aria-activedescendant", options[at].id);
    options[at].scrollIntoView({ block: "nearest" });
  };
  field.addEventListener("input", () => {
    const word = begun()?.[1].toLowerCase();
    const found = word === undefined ? [] : names.filter((name) => name.toLowerCase().includes(word));
    if (!found.length) return close();
    menu.replaceChildren(...found.map((name, index) => h("li", { role: "option", id: `${id}-${index}`, text: name, onmousedown: (e) => (e.preventDefault(), pick(name)) })));
    menu.hidden = false;
    field.ariaExpanded = "true";
    at = 0;
    mark(0);
  });
  field.addEventListener("keydown", (e) => {
    if (menu.hidden) return;
    const step = { ArrowDown: 1, ArrowUp: -1 }[e.key];
    if (step) mark(step);
    else if (e.key === "Enter" || e.key === "Tab") pick(menu.children[at].textContent);
    else if (e.key === "Escape") close();
    else return;
    e.preventDefault();
    e.stopImmediatePropagation();
  });
  field.addEventListener("blur", close);
  return menu;
}

define("dialogue", class extends Base {
  build() {
    this.tools = h("span", { class: "g-tools" });
    this.body = h("div", { class: "g-dialogue", role: "group", "aria-labelledby": `${this.fieldId}-label` });
    this.append(...this.head("span", this.tools), this.body);
  }

  get lines() {
    const { value } = this.props;
    return Array.isArray(value) ? value : value ? [{ speaker: "", text: value }] : [];
  }

  get asText() {
    const { ui_mode, speakers, value } = this.props;
    return this.text ?? (ui_mode === "text" || !speakers?.length || typeof value === "string");
  }

  patch(changed) {
    const p = this.props;
    if (!["value", "speakers", "interactive", "color_map", "ui_mode", "tags", "buttons"].some((name) => name in changed)) return;
    const both = this.interactive && p.ui_mode === "both" && p.speakers?.length;
    this.tools.replaceChildren(
      ...(both ? [h("button", { type: "button", class: "g-button secondary sm", "aria-pressed": String(this.asText), text: "As text", onclick: () => this.turn() })] : []),
      ...((p.buttons || []).includes("copy") ? [copyButton(() => this.plain())] : []),
    );
    if (!this.interactive) this.read();
    else if (this.asText) this.field();
    else this.write();
  }

  plain() {
    return typeof this.props.value === "string" ? this.props.value : this.lines.map((each) => `[${each.speaker}] ${each.text}`).join(this.props.separator);
  }

  /** From lines to text or back; the server knows how they are written. */
  async turn() {
    const { value } = this.props;
    const text = !this.asText;
    this.props.value = text ? await serve(this.gid, "format", value || []) : await serve(this.gid, "unformat", { text: value || "" });
    this.text = text;
    this.patch({ value: null });
    this.fire("change");
    this.tools.querySelector("button")?.focus();
  }

  read() {
    const lines = this.lines;
    const names = [...new Set([...(this.props.speakers || []), ...lines.map((each) => each.speaker)])];
    const colour = (name) => this.props.color_map?.[name] || `hsl(${HUES[names.indexOf(name) % HUES.length]} 85% 55%)`;
    if (!lines.length) return this.body.replaceChildren(h("div", { class: "g-empty", text: "Nothing has been said." }));
    this.body.replaceChildren(h("ol", { class: "g-uttered" }, ...lines.map(({ speaker, text }) => {
      const line = h("li", {}, speaker ? h("strong", { text: speaker }) : null, h("span", { text }));
      line.style.setProperty("--key", colour(speaker));
      return line;
    })));
    if (this.props.autoscroll !== false) this.body.scrollTop = this.body.scrollHeight;
  }

  field() {
    if (!this.area?.isConnected) {
      this.area = h("textarea", { class: "g-field", id: this.fieldId, rows: 4, "aria-labelledby": `${this.fieldId}-label`, placeholder: this.props.placeholder || "" });
      this.area.addEventListener("input", () => this.entered(this.area.value));
      const menu = this.props.tags?.length ? tags(this.area, this.props.tags, `${this.fieldId}-tags`, () => this.entered(this.area.value)) : null;
      this.area.addEventListener("keydown", (e) => e.key === "Enter" && e.shiftKey && (e.preventDefault(), this.fire("submit")));
      this.body.replaceChildren(...[this.area, menu, this.send()].filter(Boolean));
    }
    const text = this.plain();
    if (this.area.value !== text) this.area.value = text;
  }

  write() {
    this.area = null;
    const lines = this.lines;
    // What is typed comes back as an update of its own value: the fields stay.
    const same = this.rows?.isConnected && this.rows.children.length === lines.length;
    if (same) [...this.rows.children].forEach((row, index) => row.show(lines[index]));
    else {
      if (!lines.length) this.props.value = [{ speaker: this.props.speakers[0], text: "" }];
      this.rows = h("ol", { class: "g-speech" }, ...this.lines.map((line, index) => this.row(line, index)));
      const add = h("button", { type: "button", class: "g-button secondary sm", onclick: () => this.insert(this.lines.length) }, icon("plus"), "Add a line");
      add.disabled = this.lines.length >= (this.props.max_lines ?? Infinity);
      this.body.replaceChildren(this.rows, h("div", { class: "g-linetools" }, add, this.send() ?? ""));
    }
  }

  row(line, index) {
    const say = `line ${index + 1}`;
    const speaker = h("select", { class: "g-field", "aria-label": `Speaker of ${say}`, onchange: () => this.change_(index, { speaker: speaker.value }) });
    const text = h("input", { class: "g-field", "aria-label": `Text of ${say}`, placeholder: this.props.placeholder || "", autocomplete: "off" });
    const typed = () => this.change_(index, { text: text.value });
    const menu = this.props.tags?.length ? tags(text, this.props.tags, `${this.fieldId}-tags-${index}`, typed) : null;
    text.addEventListener("input", typed);
    text.addEventListener("keydown", (e) => {
      if (e.key !== "Enter" || e.isComposing) return;
      e.preventDefault();
      if (e.shiftKey) this.fire("submit");
      else if (this.lines.length < (this.props.max_lines ?? Infinity)) this.insert(index + 1);
    });
    const gone = tool("trash", `Remove ${say}`, () => this.take(this.lines.filter((_, at) => at !== index), Math.max(0, index - 1)));
    const row = h("li", {}, h("span", { class: "g-entry" }, speaker, icon("chevron")), h("span", { class: "g-linetext" }, text, menu), gone);
    row.show = (given) => {
      const names = [...new Set([...this.props.speakers, given.speaker])].filter(Boolean);
      if (speaker.options.length !== names.length) speaker.replaceChildren(...names.map((name) => h("option", { value: name, text: name })));
      speaker.value = given.speaker;
      if (text.value !== given.text) text.value = given.text;
      gone.disabled = this.lines.length < 2;
    };
    row.show(line);
    return row;
  }

  change_(index, part) {
    this.entered(this.lines.map((line, at) => (at === index ? { ...line, ...part } : line)));
  }

  insert(index) {
    const lines = this.lines;
    const names = this.props.speakers;
    const before = lines[index - 1]?.speaker;
    const speaker = names[(names.indexOf(before) + 1) % names.length]; // people take turns
    this.take([...lines.slice(0, index), { speaker, text: "" }, ...lines.slice(index)], index);
  }

  take(lines, focus) {
    this.entered(lines);
    this.write();
    this.rows.children[focus]?.querySelector("input").focus();
  }

  send() {
    const { submit_btn: given } = this.props;
    return given ? h("button", { type: "button", class: "g-button primary sm", text: typeof given === "string" ? given : "Send", onclick: () => this.fire("submit") }) : null;
  }
}, "Dialogue");
