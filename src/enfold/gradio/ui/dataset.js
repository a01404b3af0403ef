// Examples to pick from: chips for one column, a table for several.

import { Base, define, fileUrl, h } from "./core.js";

const IMAGE = /\.(png|jpe?g|gif|webp|avif|bmp|svg)$/i;

/** The file in a sample, if it is one: of a picture, a sound, a message with files. */
const fileOf = (value) => (value?.meta?._type === "gradio.FileData" ? value : fileOf.inside(value));
fileOf.inside = (value) => (value && typeof value === "object" ? [value.background, value.image, value.files?.[0], value[0]].find((each) => each?.meta) : null);

const nameOf = (file) => file.orig_name || (file.path || "file").split(/[\\/]/).pop();

function shown(value) {
  if (value === null || value === undefined) return "";
  if (typeof value !== "object") return String(value);
  const file = fileOf(value);
  if (value.text !== undefined) return [value.text, file ? `(${nameOf(file)})` : ""].filter(Boolean).join(" ");
  return file ? nameOf(file) : JSON.stringify(value);
}

/** A small picture of a sample that is one. */
function thumb(value) {
  const file = value && typeof value === "object" ? fileOf(value) : null;
  const src = file && (IMAGE.test(file.path || "") || /^data:image/.test(file.url || "")) ? fileUrl(file) : null;
  return src ? h("img", { src, alt: "", class: "g-samplepicture", loading: "lazy" }) : null;
}

define("dataset", class extends Base {
  build() {
    this.page = 0;
    this.labelEl = h("span", { class: "g-caption", id: `${this.fieldId}-label` });
    this.body = h("div", { class: "g-examples" });
    this.pages = h("div", { class: "g-pages-bar" });
    this.append(this.labelEl, this.body, this.pages);
    this.classList.add("bare");
  }

  patch() {
    const { samples = [], samples_per_page: size = 10, sample_labels: names, headers = [], layout } = this.props;
    const from = this.page * size;
    const rows = samples.slice(from, from + size).map((row, offset) => [row, from + offset]);
    const width = Math.max(0, ...samples.map((row) => row.length));
    const pick = (index) => {
      this.props.value = index;
      this.fire("click", { index, value: samples[index] });
      this.fire("select", { index, value: samples[index] });
    };
    if (names || layout === "gallery" || (layout !== "table" && width <= 1)) {
      this.body.replaceChildren(
        h("div", { class: "g-chipset", role: "group", "aria-labelledby": `${this.fieldId}-label` },
          ...rows.map(([row, index]) => {
            const text = names?.[index] ?? row.map(shown).join(", ");
            return h("button", { type: "button", class: "g-example", title: text, onclick: () => pick(index) }, thumb(row[0]), text);
          })),
      );
    } else {
      const head = headers.some(Boolean) ? [h("thead", {}, h("tr", {}, ...headers.slice(0, width).map((title) => h("th", { scope: "col", text: title }))))] : [];
      this.body.replaceChildren(
        h("table", { "aria-labelledby": `${this.fieldId}-label` }, ...head,
          h("tbody", {}, ...rows.map(([row, index]) =>
            h("tr", { onclick: () => pick(index) }, ...row.map((value, column) =>
              h("td", {}, column === 0
                ? h("button", { type: "button", class: "g-link", "aria-label": `Use example ${index + 1}: ${row.map(shown).join(", ")}` }, thumb(value), shown(value) || "—")
                : thumb(value) || shown(value))))))),
      );
    }
    const count = Math.ceil(samples.length / size);
    this.pages.hidden = count < 2;
    this.pages.replaceChildren(
      ...Array.from({ length: count }, (_, number) =>
        h("button", { type: "button", text: String(number + 1), "aria-label": `Page ${number + 1}`, "aria-current": number === this.page ? "page" : null, onclick: () => {
          this.page = number;
          this.patch();
          this.pages.children[number].focus();
        } })),
    );
  }

  get value() {
    return this.props.value ?? null;
  }
}, "Examples");
