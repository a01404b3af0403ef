// A table of any length: only the rows in sight are there. One stop for the Tab key; arrows move, Enter edits.

import { Base, copyButton, define, h, icon, tool } from "./core.js";
import "./icons.js";
import { Prose, sanitize } from "./prose.js";

const ROW = 36;
const text = (value) => (value === null || value === undefined ? "" : typeof value === "object" ? JSON.stringify(value) : String(value));

define("dataframe", class extends Base {
  build() {
    this.tools = h("span", { class: "g-tools" });
    this.search = h("input", { type: "search", class: "g-field", hidden: true, placeholder: "Search…", "aria-label": "Search the table" });
    this.inner = h("div", { class: "g-rows", role: "rowgroup" });
    this.top = h("div", { class: "g-headrow", role: "row" });
    this.grid = h("div", { class: "g-table", role: "grid", tabIndex: 0 }, h("div", { class: "g-tablehead", role: "rowgroup" }, this.top), this.inner);
    this.more = h("div", { class: "g-toolbar" });
    this.append(...this.head("span", this.tools), this.search, this.grid, this.more);
    this.grid.setAttribute("aria-labelledby", `${this.fieldId}-label`);
    this.at = [0, 0];
    this.order = null;
    this.grid.addEventListener("scroll", () => this.rows());
    this.grid.addEventListener("keydown", (e) => this.key(e));
    this.grid.addEventListener("paste", (e) => this.paste(e));
    this.grid.addEventListener("copy", (e) => {
      if (this.editing) return;
      e.preventDefault();
      e.clipboardData.setData("text/plain", text(this.cell(...this.at)));
    });
    this.search.addEventListener("input", () => this.arrange());
    new ResizeObserver(() => this.rows()).observe(this.grid);
  }

  get data() {
    return this.props.value?.data || [];
  }

  get headers() {
    return this.props.value?.headers || this.props.headers || [];
  }

  kind(column) {
    const { datatype = "str" } = this.props;
    return Array.isArray(datatype) ? datatype[column] || "str" : datatype;
  }

  fixed(column) {
    return !this.interactive || (this.props.static_columns || []).includes(column);
  }

  cell(row, column) {
    return this.data[this.seen[row]]?.[column];
  }

  patch(changed) {
    const p = this.props;
    if ("max_height" in changed) this.grid.style.maxHeight = typeof p.max_height === "number" ? `${p.max_height}px` : p.max_height || "";
    this.search.hidden = !p.show_search || p.show_search === "none";
    this.classList.toggle("wraps", Boolean(p.wrap));
    this.heads();
    this.arrange();
    const [most] = [(p.row_limits || [])[1]];
    const grows = this.interactive && p.row_count?.[1] !== "fixed" && (most == null || this.data.length < most);
    const widens = this.interactive && (p.column_count || p.col_count)?.[1] !== "fixed";
    this.more.replaceChildren(
      ...(grows ? [h("button", { type: "button", class: "g-button secondary sm", text: "Add a row", onclick: () => this.grow(this.data.length) })] : []),
      ...(widens ? [h("button", { type: "button", class: "g-button secondary sm", text: "Add a column", onclick: () => this.widen() })] : []),
    );
    this.tools.replaceChildren(
      ...(!p.buttons || p.buttons.includes("copy") ? [copyButton(() => [this.headers, ...this.seen.map((row) => this.data[row])].map((cells) => cells.map(text).join("\t")).join("\n"))] : []),
      ...(!p.buttons || p.buttons.includes("fullscreen") ? [tool("expand", "Full screen", () => (document.fullscreenElement ? document.exitFullscreen() : this.requestFullscreen()))] : []),
    );
  }

  heads() {
    const p = this.props;
    const widths = (p.column_widths || []).map((width) => width || "minmax(110px, 1fr)");
    const columns = this.headers.map((_, column) => widths[column] || "minmax(110px, 1fr)");
    this.grid.style.setProperty("--columns", `${p.show_row_numbers ? "52px " : ""}${columns.join(" ")}`);
    this.grid.setAttribute("aria-colcount", this.headers.length);
    this.top.replaceChildren(
      ...(p.show_row_numbers ? [h("div", { role: "columnheader", class: "g-th g-number", text: "#" })] : []),
      ...this.headers.map((title, column) => {
        const sorted = this.order?.[0] === column ? this.order[1] : null;
        const el = h("div", { role: "columnheader", class: "g-th", "aria-sort": sorted === 1 ? "ascending" : sorted === -1 ? "descending" : "none" },
          h("button", { type: "button", tabIndex: -1, class: "g-sort", onclick: () => this.sort(column), title: `Sort by ${text(title)}` }, text(title), sorted ? icon("chevron") : null));
        if (sorted === 1) el.classList.add("up");
        this.pin(el, column);
        return el;
      }),
    );
  }

  pin(el, column) {
    if (column < (this.props.pinned_columns || 0)) {
      el.classList.add("pinned");
      el.style.insetInlineStart = `${column * 110}px`;
    }
  }

  sort(column) {
    const [before, way] = this.order || [];
    this.order = before !== column ? [column, 1] : way === 1 ? [column, -1] : null;
    this.heads();
    this.arrange();
  }

  /** Which rows are seen, and in which order. */
  arrange() {
    const words = this.search.hidden ? "" : this.search.value.trim().toLowerCase();
    this.seen = this.data.map((_, row) => row).filter((row) => !words || this.data[row].some((cell) => text(cell).toLowerCase().includes(words)));
    if (this.order) {
      const [column, way] = this.order;
      const value = (row) => this.data[row][column];
      this.seen.sort((a, b) => {
        const [x, y] = [value(a), value(b)];
        const numbers = x !== "" && y !== "" && !Number.isNaN(Number(x)) && !Number.isNaN(Number(y));
        return way * (numbers ? x - y : text(x).localeCompare(text(y), undefined, { numeric: true }));
      });
    }
    this.grid.setAttribute("aria-rowcount", this.seen.length + 1);
    this.at = [Math.min(this.at[0], Math.max(0, this.seen.length - 1)), Math.min(this.at[1], Math.max(0, this.headers.length - 1))];
    this.drawn = null;
    this.rows();
  }

  /** Draw the rows in sight, with a few around them. */
  rows() {
    const whole = this.props.wrap && this.seen.length <= 200;
    const from = whole ? 0 : Math.max(0, Math.floor(this.grid.scrollTop / ROW) - 8);
    const to = whole ? this.seen.length : Math.min(this.seen.length, from + Math.ceil((this.grid.clientHeight || 500) / ROW) + 16);
    const range = `${from}-${to}`;
    if (this.drawn === range || this.editing) return;
    this.drawn = range;
    this.inner.style.paddingBlock = whole ? "" : `${from * ROW}px ${(this.seen.length - to) * ROW}px`;
    const rows = [];
    for (let row = from; row < to; row += 1) rows.push(this.line(row));
    const empty = this.seen.length ? [] : [h("div", { class: "g-empty", role: "row" }, h("span", { role: "gridcell", text: this.data.length ? "No row fits." : "The table is empty." }))];
    this.inner.replaceChildren(...rows, ...empty);
    this.mark();
  }

  line(row) {
    const p = this.props;
    const source = this.seen[row];
    const cells = this.headers.map((_, column) => {
      const el = h("div", { role: "gridcell", class: "g-td", id: `${this.fieldId}-${row}-${column}`, "aria-colindex": column + 1 });
      el.at = [row, column];
      this.draw(el, source, column);
      this.pin(el, column);
      el.addEventListener("mousedown", () => this.go(row, column));
      el.addEventListener("dblclick", () => this.edit());
      return el;
    });
    return h("div", { role: "row", class: "g-tr", "aria-rowindex": row + 2 }, ...(p.show_row_numbers ? [h("div", { role: "rowheader", class: "g-td g-number", text: String(source + 1) })] : []), ...cells);
  }

  draw(el, source, column) {
    const value = this.data[source][column];
    const { metadata } = this.props.value;
    const kind = this.kind(column);
    const shown = metadata?.display_value?.[source]?.[column];
    const style = metadata?.styling?.[source]?.[column];
    if (style) for (const rule of style.split(";")) {
      const [name, ...rest] = rule.split(":");
      if (/^\s*(color|background-color|background|font-weight|font-style|text-align|text-decoration)\s*$/.test(name) && !/url\(/i.test(rest.join(":"))) el.style.setProperty(name.trim(), rest.join(":").trim());
    }
    if (kind === "bool") {
      const box = h("input", { type: "checkbox", tabIndex: -1, "aria-label": `${text(this.headers[column])}, row ${source + 1}`, disabled: this.fixed(column) });
      box.checked = value === true || value === "true" || value === "True";
      box.addEventListener("change", () => this.set(source, column, box.checked));
      el.replaceChildren(box);
    } else if (kind === "markdown") new Prose(el, { delimiters: this.props.latex_delimiters }).show(text(value));
    else if (kind === "html") el.replaceChildren(sanitize(text(value)));
    else if (kind === "image") el.replaceChildren(sanitize(`<img src="${text(value).replace(/"/g, "&quot;")}" alt="">`));
    else {
      const whole = text(shown ?? value);
      const most = this.props.max_chars;
      el.textContent = most && whole.length > most ? `${whole.slice(0, most)}…` : whole;
      if (most && whole.length > most) el.title = whole;
      if (kind === "number" || typeof value === "number") el.classList.add("number");
    }
  }

  element([row, column] = this.at) {
    return this.inner.querySelector(`#${CSS.escape(`${this.fieldId}-${row}-${column}`)}`);
  }

  mark() {
    this.inner.querySelector("[aria-selected]")?.removeAttribute("aria-selected");
    const el = this.element();
    el?.setAttribute("aria-selected", "true");
    el ? this.grid.setAttribute("aria-activedescendant", el.id) : this.grid.removeAttribute("aria-activedescendant");
  }

  go(row, column, fire = true) {
    if (this.editing && (row !== this.at[0] || column !== this.at[1])) this.editing(true);
    this.at = [Math.max(0, Math.min(this.seen.length - 1, row)), Math.max(0, Math.min(this.headers.length - 1, column))];
    const top = this.at[0] * ROW;
    const seen = this.grid.clientHeight - ROW * 2;
    if (!this.element()) this.grid.scrollTop = Math.max(0, top - seen / 2);
    this.rows();
    this.element()?.scrollIntoView({ block: "nearest", inline: "nearest" });
    this.mark();
    if (!fire || !this.seen.length) return;
    const source = this.seen[this.at[0]];
    const cells = this.data[source];
    this.fire("select", { index: [source, this.at[1]], value: cells[this.at[1]], row_value: cells, col_value: this.data.map((each) => each[this.at[1]]), selected: true });
  }

  key(e) {
    if (this.editing || e.target !== this.grid) return;
    const [row, column] = this.at;
    const page = Math.max(1, Math.floor(this.grid.clientHeight / ROW) - 2);
    const steps = { ArrowDown: [1, 0], ArrowUp: [-1, 0], ArrowRight: [0, 1], ArrowLeft: [0, -1], PageDown: [page, 0], PageUp: [-page, 0], Home: [0, -column], End: [0, this.headers.length] };
    if (steps[e.key]) {
      e.preventDefault();
      const whole = e.ctrlKey && (e.key === "Home" || e.key === "End");
      this.go(whole ? (e.key === "Home" ? 0 : this.seen.length - 1) : row + steps[e.key][0], column + steps[e.key][1]);
    } else if (e.key === "Enter" || e.key === "F2") {
      e.preventDefault();
      this.edit();
    } else if ((e.key === "Delete" || e.key === "Backspace") && !this.fixed(column)) this.set(this.seen[row], column, "");
    else if (e.key === " " && this.kind(column) === "bool" && !this.fixed(column)) {
      e.preventDefault();
      this.set(this.seen[row], column, !(this.cell(row, column) === true));
    } else if (e.key.length === 1 && !e.ctrlKey && !e.metaKey && !e.altKey) {
      e.preventDefault();
      this.edit(e.key);
    }
  }

  edit(start = null) {
    const [row, column] = this.at;
    const el = this.element();
    if (!el || this.fixed(column) || this.kind(column) === "bool") return;
    const input = h("input", { class: "g-cellfield", "aria-label": `${text(this.headers[column])}, row ${row + 1}` });
    input.value = start ?? text(this.cell(row, column));
    el.replaceChildren(input);
    const done = (keep, step = null) => {
      if (!this.editing) return;
      this.editing = null;
      const before = this.cell(row, column);
      this.draw(el, this.seen[row], column);
      if (keep && input.value !== text(before)) this.set(this.seen[row], column, this.kind(column) === "number" && input.value.trim() !== "" && !Number.isNaN(Number(input.value)) ? Number(input.value) : input.value);
      this.grid.focus();
      if (step) this.go(row + step[0], column + step[1]);
    };
    this.editing = done;
    input.addEventListener("keydown", (e) => {
      e.stopPropagation();
      if (e.key === "Enter") done(true, [e.shiftKey ? -1 : 1, 0]);
      else if (e.key === "Tab") {
        e.preventDefault();
        done(true, [0, e.shiftKey ? -1 : 1]);
      } else if (e.key === "Escape") done(false);
    });
    input.addEventListener("blur", () => done(true));
    input.focus();
    if (start === null) input.select();
  }

  set(source, column, value) {
    const previous = this.data[source][column];
    const data = this.data.map((cells, row) => (row === source ? cells.map((each, at) => (at === column ? value : each)) : cells));
    this.entered({ ...this.props.value, data, metadata: null });
    this.fire("edit", { index: [source, column], value, previous_value: previous });
    const el = this.element([this.seen.indexOf(source), column]);
    if (el) this.draw(el, source, column);
  }

  paste(e) {
    if (this.editing || !this.interactive) return;
    e.preventDefault();
    const rows = e.clipboardData.getData("text/plain").replace(/\r?\n$/, "").split(/\r?\n/).map((line) => line.split("\t"));
    const [row, column] = this.at;
    const data = this.data.map((cells) => [...cells]);
    rows.forEach((cells, down) => cells.forEach((cell, right) => {
      const source = this.seen[row + down];
      if (source !== undefined && column + right < this.headers.length && !this.fixed(column + right)) data[source][column + right] = cell;
    }));
    this.entered({ ...this.props.value, data, metadata: null });
    this.arrange();
  }

  grow(at) {
    const data = [...this.data];
    data.splice(at, 0, this.headers.map(() => ""));
    this.entered({ headers: this.headers, metadata: null, data });
    this.patch({});
    this.go(this.seen.length - 1, 0, false);
    this.grid.focus();
  }

  widen() {
    const headers = [...this.headers, String(this.headers.length + 1)];
    this.entered({ headers, metadata: null, data: this.data.map((cells) => [...cells, ""]) });
    this.patch({});
  }

  get value() {
    return this.props.value || { headers: this.headers, data: [], metadata: null };
  }
}, "Dataframe");
