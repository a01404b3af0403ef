// Links to the page as it is now. Loaded when one is asked for, or when one leads nowhere.

import { announce, config, copy, nodes, post, session, toast } from "./core.js";

/** Keep what the page shows and copy a link to it; the button that asked says so for a second. */
export async function share(id) {
  const button = nodes.get(id);
  const values = {};
  for (const [key, node] of nodes) if (typeof key === "number" && node.interactive && "value" in node.props) values[key] = node.value;
  const answer = await post("deep_link", { session_hash: session, deep_link: config.deep_link, values });
  if (!answer.ok) throw new Error((await answer.json().catch(() => ({}))).detail || `The server answered ${answer.status}.`);
  const name = await answer.json();
  const link = new URL(location.href);
  link.searchParams.delete("__sign");
  name ? link.searchParams.set("deep_link", name) : link.searchParams.delete("deep_link");
  await copy(link.href);
  const text = button.props.value;
  button.update({ value: button.props.copied_value });
  announce(button.props.copied_value);
  setTimeout(() => button.update({ value: text }), 1000);
}

/** Say that a link is none. */
export function lost() {
  toast("error", "Link not found", "There is no page in the state that this link stands for. This is the page as it begins.");
}
