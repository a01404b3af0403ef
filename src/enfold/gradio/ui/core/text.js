// A field for text.

import { attribute, copyButton, format, h } from "./dom.js";
import { Base } from "./node.js";

const AREA = h("textarea", { rows: 1 });
const SIZES_ITSELF = CSS.supports("field-sizing", "content");

export class Textbox extends Base {
  static later = true;

  build() {
    this.append(...this.head());
  }

  field() {
    const { lines = 1, type = "text" } = this.props;
    const single = lines === 1 && type !== "text";
    const el = single ? h("input", { type }) : AREA.cloneNode();
    if (lines !== 1) el.rows = lines;
    el.id = this.fieldId;
    el.className = "g-field";
    return el;
  }

  heard(event) {
    const { el } = this;
    if (event.target !== el) return;
    const { lines = 1, max_lines } = this.props;
    if (event.type === "input") {
      this.entered(el.value);
      this.grow();
    } else if (event.type === "keydown") {
      // One line: Enter sends. Several: Shift+Enter sends, Enter breaks the line.
      if (event.key === "Enter" && !event.isComposing && (lines === 1 && (max_lines ?? 1) <= 1 ? !event.shiftKey : event.shiftKey)) {
        event.preventDefault();
        this.fire("submit");
      }
    } else if (event.type === "select") {
      const [start, end] = [el.selectionStart, el.selectionEnd];
      this.fire("select", { index: [start, end], value: el.value.slice(start, end) });
    } else this.fire(event.type);
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
    const { interactive } = this;
    if (el.readOnly === interactive) el.readOnly = !interactive;
    attribute(el, "placeholder", p.placeholder);
    attribute(el, "maxlength", p.max_length);
    attribute(el, "dir", p.rtl ? "rtl" : "auto");
    attribute(el, "aria-describedby", this.describedBy());
    attribute(el, "enterkeyhint", this.hears("submit") && p.lines === 1 ? "send" : null);
    if (p.text_align || "text_align" in changed) el.style.textAlign = p.text_align || "";
    for (const [name, value] of Object.entries(p.html_attributes || {})) {
      if (value !== null && !/^on|^style$|^id$/i.test(name)) el.setAttribute(name, value);
    }
    if (p.autofocus && !this.focused) {
      this.focused = true;
      requestAnimationFrame(() => el.focus());
    }
    if (p.submit_btn || p.stop_btn || this.actions) this.act();
    if ("buttons" in changed) {
      this.tools?.remove();
      this.tools = (p.buttons || []).includes("copy") ? h("span", { class: "g-tools" }, copyButton(() => this.el.value, (value) => this.fire("copy", { value }))) : null;
      if (this.tools) this.headEl.append(this.tools);
    }
    this.grow();
  }

  /** The buttons beside the field. */
  act() {
    this.actions ??= {};
    for (const [name, event] of [["submit_btn", "submit"], ["stop_btn", "stop"]]) {
      const given = this.props[name];
      let button = this.actions[event];
      if (given && !button) {
        const look = event === "stop" ? "stop" : "primary";
        button = this.actions[event] = h("button", { type: "button", class: `g-button g-${event} ${look} sm`, onclick: () => this.fire(event) });
        this.el.parentElement.append(button);
      }
      if (!button) continue;
      button.hidden = !given;
      button.textContent = typeof given === "string" ? given : event === "submit" ? "Send" : "Stop";
    }
  }

  grow() {
    const el = this.el;
    if (el.tagName !== "TEXTAREA") return;
    const { lines = 1, max_lines } = this.props;
    if (SIZES_ITSELF) {
      // The browser does it, without measuring; the style sheet has what one line is.
      if (lines === 1 && max_lines == null) return;
      const high = (count) => `${count * 22 + 20}px`;
      Object.assign(el.style, { minHeight: high(lines), maxHeight: high(max_lines ?? Math.max(20, lines)) });
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
