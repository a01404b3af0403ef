// Links to the pages of an app, and the component that says how they look.

import { Base, config, define, h } from "./core.js";

const list = h("ul");
const bar = h("nav", { class: "g-nav", "aria-label": "Pages" }, list);
let said = {};

/** Where a link leads: an address of the web, or a page beside this one, which keeps its light. */
function way(path) {
  if (/^https?:\/\//i.test(path)) return path;
  const theme = new URLSearchParams(location.search).get("__theme");
  return `./${path.replace(/^\/+/, "")}${theme && !path.includes("?") ? `?__theme=${encodeURIComponent(theme)}` : ""}`;
}

function draw() {
  const main = said.main_page_name ?? "Home";
  const links = (config.pages || [])
    .filter(([path, , shown]) => (path === "" ? main !== false : shown))
    .map(([path, name]) => [path, path === "" && name === "Home" ? main : name]);
  for (const [name, path] of said.value || []) if (!links.some(([each]) => each === path)) links.push([path, name]);
  const here = config.current_page ?? "";
  list.replaceChildren(...links.map(([path, name]) => {
    const outside = /^https?:/i.test(path);
    const own = !outside && path.replace(/^\/+|\/+$/g, "") === here;
    return h("li", {}, h("a", { href: way(path), text: name, "aria-current": own ? "page" : null, target: outside ? "_blank" : null, rel: outside ? "noopener" : null }));
  }));
  bar.hidden = said.visible === false || !config.pages;
}

define("navbar", class extends Base {
  static bar() {
    draw();
    return [bar];
  }

  build() {
    this.classList.remove("block");
    this.hidden = true;
  }

  common() {}

  patch() {
    said = this.props;
    bar.id = said.elem_id || "";
    bar.className = ["g-nav", said.elem_classes || []].flat().join(" ");
    draw();
  }
});
