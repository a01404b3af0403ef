// A conversation. Messages that did not change are left alone; the one that grows is read again from its last piece.

import { Base, copyButton, define, fetchModules, fileUrl, h, icon, inner, tool } from "./core.js";
import "./icons.js";
import { saveLink } from "./media.js";
import { Prose } from "./prose.js";

const textOf = (message) => message.content.filter((part) => part.type === "text").map((part) => part.text).join("\n");
const NAMES = { user: "You", assistant: "Assistant", system: "System" };

class Part {
  constructor(chat, part) {
    this.chat = chat;
    this.type = part.type;
    this.el = h("div", { class: part.type === "text" ? "g-prose" : "g-attached" });
    if (part.type === "text" && chat.props.render_markdown !== false) {
      const copies = (chat.props.buttons || ["copy"]).includes("copy");
      this.prose = new Prose(this.el, {
        breaks: chat.props.line_breaks !== false,
        delimiters: chat.props.latex_delimiters,
        onCode: (block) => copies && block.append(copyButton(() => block.querySelector("code")?.textContent || "")),
      });
    }
    this.show(part);
  }

  show(part) {
    if (this.prose) this.prose.show(part.text);
    else if (part.type === "text") this.el.textContent = part.text;
    else if (part.type === "file") this.file(part);
    else this.component(part);
  }

  file({ file, alt_text: alt }) {
    const kind = file.mime_type || "";
    const name = file.orig_name || (file.path || "file").split(/[\\/]/).pop();
    const src = fileUrl(file);
    let el = h("a", { href: src, download: name, class: "g-filechip" }, icon("file"), name);
    if (kind.startsWith("image/")) el = h("img", { src, alt: alt || name, loading: "lazy" });
    else if (kind.startsWith("audio/")) el = h("audio", { src, controls: true, "aria-label": alt || name });
    else if (kind.startsWith("video/")) el = h("video", { src, controls: true, "aria-label": alt || name });
    const save = this.chat.props.allow_file_downloads !== false && /^(image|audio|video)/.test(kind) ? saveLink(file) : null;
    this.el.replaceChildren(el, ...(save ? [save] : []));
  }

  async component({ component, props }) {
    const type = { lineplot: "nativeplot", barplot: "nativeplot", scatterplot: "nativeplot" }[component] || component;
    await fetchModules([type]);
    this.el.replaceChildren(inner(type, props));
  }
}

define("chatbot", class extends Base {
  build() {
    this.tools = h("span", { class: "g-tools" });
    this.log = h("div", { class: "g-log", role: "log", tabIndex: 0, "aria-live": "polite" });
    this.log.setAttribute("aria-labelledby", `${this.fieldId}-label`);
    this.append(...this.head("span", this.tools), this.log);
    this.rows = [];
    this.near = true;
    // Also when a tab opens around it, or a picture in it arrives.
    const follow = () => this.near && this.props.autoscroll !== false && (this.log.scrollTop = this.log.scrollHeight);
    new ResizeObserver(follow).observe(this.log);
    this.log.addEventListener("load", follow, true);
    this.log.addEventListener("scroll", () => (this.near = this.log.scrollHeight - this.log.scrollTop - this.log.clientHeight < 60));
  }

  get messages() {
    return this.props.value || [];
  }

  patch(changed) {
    const p = this.props;
    this.sized(this.log, changed);
    this.log.dir = p.rtl ? "rtl" : "";
    this.log.classList.toggle("panel", p.layout === "panel");
    this.log.classList.toggle("resizable", Boolean(p.resizable));
    if ("value" in changed || "placeholder" in changed || "examples" in changed) this.fill();
    this.tools.replaceChildren(
      ...((p.buttons || []).includes("copy_all") && this.messages.length ? [copyButton(() => this.messages.map((each) => `${NAMES[each.role]}: ${textOf(each)}`).join("\n\n") + (p.watermark ? `\n\n${p.watermark}` : ""), (value) => this.fire("copy", { value }))] : []),
      ...(this.hears("clear") ? [tool("trash", "Clear the conversation", () => {
        this.entered([], null);
        this.fire("clear");
        this.fill();
      })] : []),
    );
  }

  fill() {
    const { messages } = this;
    this.empty?.remove();
    this.empty = messages.length ? null : this.beginning();
    if (this.empty) this.log.append(this.empty);
    messages.forEach((message, index) => {
      const row = this.rows[index];
      const state = JSON.stringify([message.role, message.metadata, message.options, message.content.map((part) => part.type)]);
      const text = JSON.stringify(message.content);
      if (row?.state === state) {
        if (row.text !== text) {
          message.content.forEach((part, at) => row.parts[at].show(part));
          row.text = text;
        }
      } else {
        const made = this.row(message, index, row);
        Object.assign(made, { state, text });
        row ? row.el.replaceWith(made.el) : this.place(made, message);
        this.rows[index] = made;
      }
    });
    for (const row of this.rows.splice(messages.length)) row.el.remove();
    this.rows.forEach((row, index) => {
      const [before, message] = [messages[index - 1], messages[index]];
      row.el.classList.toggle("follows", this.props.group_consecutive_messages !== false && before?.role === message.role && !before.metadata?.title === !message.metadata?.title);
      row.el.classList.toggle("last", index === messages.length - 1);
    });
    if (this.props.autoscroll !== false && this.near) requestAnimationFrame(() => (this.log.scrollTop = this.log.scrollHeight));
  }

  // A thought inside another stands in its parent's body.
  place(made, message) {
    const parent = message.metadata?.parent_id;
    const at = parent == null ? null : this.rows.find((row) => row && row.thought === parent);
    (at?.inside || this.log).append(made.el);
  }

  beginning() {
    const { placeholder, examples = [] } = this.props;
    const box = h("div", { class: "g-beginning" });
    if (placeholder) {
      const words = h("div", { class: "g-prose" });
      new Prose(words, {}).show(placeholder);
      box.append(words);
    } else if (!examples.length) box.append(h("div", { class: "g-empty", text: "The conversation appears here." }));
    if (examples.length) {
      box.append(h("div", { class: "g-chipset" }, ...examples.map((example, index) => {
        const text = example.display_text ?? example.text ?? "";
        const mark = example.icon && typeof example.icon === "object" ? h("img", { src: fileUrl(example.icon), alt: "", class: "g-buttonicon" }) : null;
        return h("button", { type: "button", class: "g-example", onclick: () => this.fire("example_select", { index, value: { text: example.text, files: example.files } }) }, mark, text);
      })));
    }
    return box;
  }

  row(message, index) {
    const { role, metadata, options } = message;
    const thought = metadata?.title != null;
    const parts = message.content.map((part) => new Part(this, part));
    const bubble = h("div", { class: "g-bubble" }, ...parts.map((part) => part.el));
    const made = { parts, thought: metadata?.id, el: null, inside: null };
    let body = bubble;
    if (thought) {
      const extra = [metadata.log, metadata.duration != null ? `(${Number(metadata.duration).toFixed(1)} s)` : null].filter(Boolean).join(" ");
      made.inside = h("div", { class: "g-thoughtbody" }, bubble);
      body = h("details", { class: "g-thought" }, h("summary", {}, metadata.status === "pending" ? h("span", { class: "g-spin", "aria-hidden": "true" }) : null, metadata.title, extra ? h("span", { class: "g-size", text: ` ${extra}` }) : null), made.inside);
      body.open = metadata.status !== "done";
    }
    if (this.hears("select")) bubble.addEventListener("click", () => this.fire("select", { index, value: textOf(message) }));
    const image = this.props.avatar_images?.[role === "user" ? 0 : 1];
    const avatar = image ? h("img", { class: "g-avatar", src: fileUrl(image), alt: "" }) : null;
    const chosen = (options || []).map((option, at) => h("button", { type: "button", class: "g-example", text: option.label ?? option.value, onclick: () => this.fire("option_select", { index: at, value: option.value }) }));
    made.el = h("div", { class: `g-message ${role}`, role: "group", "aria-label": `${NAMES[role] || role} said` }, avatar,
      h("div", { class: "g-said" }, body, chosen.length ? h("div", { class: "g-chipset" }, ...chosen) : null, thought ? null : this.actions(message, index)));
    return made;
  }

  actions(message, index) {
    const p = this.props;
    const user = message.role === "user";
    const text = () => textOf(this.messages[index] || message);
    const can = p.editable === "all" || (p.editable === "user" && user);
    const likes = this.hears("like") && (!user || p.like_user_message) ? p.feedback_options || ["Like", "Dislike"] : [];
    const items = [
      (p.buttons || []).includes("copy") && text() ? copyButton(() => text() + (p.watermark ? `\n\n${p.watermark}` : ""), (value) => this.fire("copy", { value })) : null,
      ...likes.map((name) => {
        const mark = { Like: "up", Dislike: "down" }[name];
        const press = () => {
          this.fire("like", { index: this.flat(index), value: text(), liked: name === "Like" ? true : name === "Dislike" ? false : name });
          for (const each of row.querySelectorAll("[aria-pressed]")) each.setAttribute("aria-pressed", String(each === button));
        };
        const button = mark ? tool(mark, name, press) : h("button", { type: "button", class: "g-link", text: name, onclick: press });
        button.setAttribute("aria-pressed", String(p.feedback_value?.[index] === name));
        return button;
      }),
      !user && this.hears("retry") ? tool("retry", "Retry", () => this.fire("retry", { index: this.lastUser(index), value: textOf(this.messages[this.lastUser(index)] || message) })) : null,
      !user && this.hears("undo") ? tool("undo", "Undo", () => this.fire("undo", { index: this.lastUser(index), value: textOf(this.messages[this.lastUser(index)] || message) })) : null,
      can && text() ? tool("edit", "Edit", () => this.edit(index)) : null,
    ].filter(Boolean);
    const row = h("div", { class: "g-actions" }, ...items);
    return items.length ? row : null;
  }

  flat(index) {
    return index;
  }

  lastUser(index) {
    let at = index;
    while (at > 0 && this.messages[at].role !== "user") at -= 1;
    return at;
  }

  edit(index) {
    const message = this.messages[index];
    const before = textOf(message);
    const area = h("textarea", { class: "g-field", rows: 3, "aria-label": "Edit the message" });
    area.value = before;
    const { el } = this.rows[index];
    const done = (keep) => {
      form.replaceWith(said);
      if (!keep || area.value === before) return;
      const next = this.messages.map((each, at) => (at === index ? { ...each, content: [{ type: "text", text: area.value }] } : each));
      this.entered(next, null);
      this.fire("edit", { index, value: area.value, previous_value: before });
      this.fill();
    };
    const form = h("div", { class: "g-said" }, area, h("div", { class: "g-toolbar" },
      h("button", { type: "button", class: "g-button primary sm", text: "Save", onclick: () => done(true) }),
      h("button", { type: "button", class: "g-button secondary sm", text: "Cancel", onclick: () => done(false) })));
    const said = el.querySelector(".g-said");
    said.replaceWith(form);
    area.focus();
  }
}, "Chatbot");
