// The page itself: what stands where, and how it begins.

import { h, icon } from "./dom.js";
import { attach, dependencies, run } from "./events.js";
import { Layout } from "./layouts.js";
import { app, config, define, kinds, nodes, wired } from "./node.js";
import { announcer, toasts } from "./notes.js";
import { Button, State } from "./shown.js";
import { Textbox } from "./text.js";
import { address, session, wait } from "./wire.js";

for (const [type, Kind] of Object.entries({ textbox: Textbox, button: Button, state: State, api: class extends State {} })) define(type, Kind);
for (const type of ["row", "column", "group", "form"]) define(type, class extends Layout {});

/** Put a branch of the layout into an element; `far` takes what a long page leaves for later (see long.js). */
export function place(branch, into, entries, far = null, left = false) {
  const entry = entries.get(branch.id);
  let target = into;
  let node = null;
  if (entry) {
    const Kind = kinds.get(entry.type);
    if (!Kind) throw new Error(`this page cannot show a ${entry.type}`);
    node = new Kind();
    const beyond = far?.beyond(Kind);
    node.setup(entry, !(beyond && Kind.later));
    nodes.set(entry.id, node);
    into.append(node);
    target = node.place || node;
    if (!node.whole) far.fields.push(node);
    if (beyond && !left) left = far.leave(node, branch);
  }
  for (const child of branch.children || []) place(child, target, entries, far, left);
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

const LONG = 100; // blocks: as in page.py
let modules = JSON.parse(document.getElementById("g-modules").textContent);
const here = new URL(".", import.meta.url).href;

/** Put a style sheet on the page, once. */
export function sheet(name) {
  if (![...document.querySelectorAll("link[rel=stylesheet]")].some((link) => link.href.includes(name))) document.head.append(h("link", { rel: "stylesheet", href: `${here}${name}` }));
}

/** Fetch what shows these component types, once. */
export async function fetchModules(types) {
  // The page says what it begins with; the whole list is fetched when something else is made later.
  if (!modules.all && [...types].some((type) => !kinds.has(type) && !modules[type])) modules = await (await fetch(`${here}modules.json`)).json();
  const names = new Set([...new Set(types)].flatMap((type) => modules[type] || []));
  await Promise.all([...names].map((name) => {
    if (name.endsWith(".js")) return import(`${here}${name}`);
    sheet(name);
    return null;
  }));
}

async function begin() {
  const entries = new Map(config.components.map((entry) => [entry.id, entry]));
  wired(config.dependencies);
  attach(config.dependencies);
  await fetchModules([...(config.pages ? ["navbar"] : []), ...config.components.flatMap((entry) => [entry.type, ...(entry.props.components || [])])]);
  const main = h("main", { class: "g-main" });
  if (config.fill_width) app.classList.add("fill-width");
  if (config.fill_height) app.classList.add("fill-height");
  const far = entries.size > LONG ? new (await import(`${here}long.js`)).Far(entries) : null;
  place(config.layout, main, entries, far);
  far?.fill(main);
  const sides = [...main.querySelectorAll("g-sidebar")];
  app.replaceChildren(...sides, ...(kinds.get("navbar")?.bar() || []), main, footer());
  document.body.append(toasts, announcer);
  for (const branch of nodes.values()) if (branch instanceof Layout) branch.refresh();
  performance.mark("ui-ready");
  document.documentElement.dataset.ready = "true";
  if (config.connect_heartbeat) beat();
  if (parent !== window) embedded();
  if (config.dev_mode) import(`${here}dev.js`).then(({ watch }) => watch());
  if (config.deep_link_state === "invalid") import(`${here}link.js`).then(({ lost }) => lost());
  window.__g_load?.();
  for (const dep of dependencies.values()) if (dep.targets.some(([, event]) => event === "load")) run(dep, null, null);
}

/** Tell the page around us, which frames us, how high we are. */
function embedded() {
  document.body.classList.add("g-embedded");
  const tell = () => parent.postMessage({ gradio: "height", height: Math.ceil(app.getBoundingClientRect().height) }, "*");
  new ResizeObserver(tell).observe(app);
  tell();
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
