// Parts of the page that a function makes anew: see `render`.

import { attach, dependencies, fetchModules, nodes, place, run, wired } from "./core.js";

const parts = new Map();

/** Put what a function has made in the place of what it made before; components with the same key keep their value. */
export async function rendered(made, dep) {
  const before = parts.get(made.render_id) || { nodes: [], deps: [] };
  const kept = new Map(before.nodes.map((id) => nodes.get(id)).filter((node) => node?.key != null).map((node) => [JSON.stringify(node.key), node]));
  const types = made.components.map((entry) => entry.type);
  await fetchModules(types);
  for (const id of before.deps) dependencies.delete(id);
  for (const id of before.nodes) nodes.delete(id);
  for (const entry of made.components) {
    const old = entry.key != null && kept.get(JSON.stringify(entry.key));
    if (!old) continue;
    for (const name of entry.props.preserved_by_key || []) if (name in old.props) entry.props[name] = name === "value" ? old.value : old.props[name];
  }
  const scripts = made.dependencies.map((each) => ({ ...each, js: Boolean(each.js) }));
  for (const each of made.dependencies) if (each.js) (window.__g_js ??= {})[each.id] = await script(each.js);
  wired(scripts);
  attach(scripts);
  const host = nodes.get(made.layout.id);
  if (!host) return;
  const target = host.place || host;
  target.replaceChildren();
  const entries = new Map(made.components.map((entry) => [entry.id, entry]));
  for (const child of made.layout.children || []) place(child, target, entries);
  for (const [id, entry] of entries) if (nodes.has(id)) nodes.get(id).key = entry.key;
  host.refresh?.();
  parts.set(made.render_id, { nodes: [...entries.keys()], deps: scripts.map((each) => each.id) });
  for (const each of scripts) if (each.targets.some(([, event]) => event === "load")) run(dependencies.get(each.id), null, null);
}

/** Make a function of an author's script; the page's policy lets scripts in only with its nonce. */
function script(text) {
  return new Promise((done) => {
    const name = `__g_made_${Math.random().toString(36).slice(2)}`;
    const el = document.createElement("script");
    el.nonce = document.querySelector("script[nonce]")?.nonce || "";
    el.textContent = `window.${name}=(${text});`;
    document.head.append(el);
    el.remove();
    done(window[name]);
    delete window[name];
  });
}
