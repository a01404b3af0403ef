// "Use via API": the endpoints of this page, with calls to copy. Loaded when it is asked for.

import { config, copyButton, h, sheet } from "./core.js";

const root = () => new URL(".", document.baseURI.split(/[?#]/)[0]).href;
const python = (value) => JSON.stringify(value ?? null).replace(/\bnull\b/g, "None").replace(/\btrue\b/g, "True").replace(/\bfalse\b/g, "False");

function code(text) {
  return h("div", { class: "g-snippet" }, h("pre", { tabindex: "0" }, h("code", { text })), copyButton(() => text));
}

function endpoint(name, described) {
  const given = described.parameters.map((each) => `    ${each.parameter_name}=${python(each.example_input)},\n`).join("");
  const client = `from gradio_client import Client\n\nclient = Client("${root()}")\nresult = client.predict(\n${given}    api_name="${name}",\n)\nprint(result)`;
  const data = JSON.stringify({ data: described.parameters.map((each) => each.example_input) }).replace(/'/g, "'\\''");
  const curl = `curl -s -X POST ${root()}gradio_api/run${name} -H "Content-Type: application/json" \\\n  -d '${data}'`;
  const rows = described.parameters.map((each) =>
    h("li", {}, h("code", { text: each.parameter_name }), ` ${each.python_type.type}`, each.parameter_has_default ? ` (default ${python(each.parameter_default)})` : ""));
  const results = described.returns.map((each) => h("li", {}, `${each.label}: `, h("code", { text: each.python_type.type })));
  return h("section", {}, h("h3", { text: name }), described.description ? h("p", { text: described.description }) : null,
    h("h4", { text: "Takes" }), rows.length ? h("ul", {}, ...rows) : h("p", { text: "nothing" }),
    h("h4", { text: "Returns" }), results.length ? h("ul", {}, ...results) : h("p", { text: "nothing" }),
    h("h4", { text: "Python" }), code(client), h("h4", { text: "Shell" }), code(curl));
}

export async function open() {
  sheet("dialog.css");
  const dialog = h("dialog", { class: "g-dialog", "aria-label": "Use via API" });
  const close = h("button", { type: "button", class: "g-button secondary sm", text: "Close", onclick: () => dialog.close() });
  const body = h("div", {}, h("p", { text: "Loading…" }));
  dialog.append(h("header", {}, h("h2", { text: "Use via API" }), close), body);
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  try {
    const info = new URL("gradio_api/info", root());
    if (config.pages) info.searchParams.set("page", config.current_page);
    const answer = await fetch(info, { credentials: "same-origin" });
    const told = await answer.json();
    const sections = Object.entries(told.named_endpoints).map(([name, described]) => endpoint(name, described));
    body.replaceChildren(...(sections.length ? sections : [h("p", { text: "This page offers no endpoints." })]));
  } catch {
    body.replaceChildren(h("p", { text: "The server cannot be reached." }));
  }
}
