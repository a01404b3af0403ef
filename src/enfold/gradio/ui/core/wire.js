// The talk with the server: calls, one stream of messages for all of them, and what they change.

import { apply, progress, trigger } from "./events.js";
import { config, nodes } from "./node.js";
import { announce, toast } from "./notes.js";

export const session = [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
const pending = new Map();
const early = new Map();
let joining = 0;
let listening = false;
let sequence = 0;

export const address = (path) => new URL(`gradio_api/${path}`, document.baseURI.split(/[?#]/)[0]);
export const wait = (ms) => new Promise((done) => setTimeout(done, ms));

export function post(path, body) {
  return fetch(address(path), {
    method: "POST", headers: { "Content-Type": "application/json", "X-Gradio-User": "app" }, body: JSON.stringify(body), credentials: "same-origin",
  });
}

/** The address of a file that travels as `{path, url}`. */
export function fileUrl(file) {
  if (!file) return "";
  if (typeof file === "string") return file;
  const { path, url } = file;
  if (path && !/^https?:/i.test(path)) return address(`file=${path.split("/").map(encodeURIComponent).join("/")}`).href;
  const text = url || path || "";
  return /^(https?:|data:(image|audio|video)\/|blob:)/i.test(text) ? text : "";
}

/** Call a method that a component offers its page. */
export async function serve(id, name, data) {
  const answer = await post("component_server", { session_hash: session, component_id: id, fn_name: name, data });
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(detail(body, answer.status));
  return body;
}

/** Send a call and wait for its end; whether it succeeded. */
export async function submit(job, data, triggerId, eventData) {
  progress(job, { kind: "pending", text: "" });
  if (job.dep.show_progress !== "hidden") announce("Running");
  const ended = new Promise((done) => (job.done = done));
  job.clock = setInterval(() => tick(job), 100);
  joining += 1;
  try {
    let answer;
    try {
      answer = await post("queue/join", { data, event_data: eventData, fn_index: job.dep.id, trigger_id: triggerId, session_hash: session, deep_link: config.deep_link });
    } catch {
      throw new Error("The server cannot be reached.");
    }
    const body = await answer.json().catch(() => ({}));
    if (answer.status === 422 && Array.isArray(body.detail)) {
      body.detail.forEach((each, index) => each.is_valid || nodes.get(job.dep.inputs[index])?.invalid(each.message));
      announce(detail(body, 422));
      throw Object.assign(new Error(detail(body, 422)), { told: true });
    }
    if (!answer.ok) throw new Error(detail(body, answer.status));
    job.id = body.event_id;
    pending.set(job.id, job);
    for (const message of early.get(job.id) || []) receive(message);
    early.delete(job.id);
    if (job.cancelled) cancel(job);
  } catch (error) {
    clearInterval(job.clock);
    throw error;
  } finally {
    joining -= 1;
  }
  listen();
  const success = await ended;
  clearInterval(job.clock);
  return success;
}

function detail(body, status) {
  if (Array.isArray(body.detail)) return body.detail.map((each) => each.message).filter(Boolean).join(" ");
  return body.detail || `The server answered ${status}.`;
}

function tick(job) {
  const seconds = (performance.now() - job.started) / 1000;
  const clock = job.eta ? `${seconds.toFixed(1)} / ${job.eta.toFixed(1)} s` : `${seconds.toFixed(1)} s`;
  if (job.units) {
    const [unit] = job.units.slice(-1);
    const fraction = unit.progress ?? (unit.length ? unit.index / unit.length : undefined);
    const count = unit.length ? `${unit.index ?? 0}/${unit.length} ${unit.unit || ""}` : "";
    const share = !count && fraction !== undefined && fraction !== null ? `${Math.round(fraction * 100)}%` : "";
    const text = [unit.desc, count || share, clock].filter(Boolean).join(" · ");
    progress(job, { kind: "pending", text, fraction: fraction ?? undefined });
  } else if (!job.generating && seconds > 0.3) {
    const queue = job.rank > 0 ? `${job.rank} before you · ` : "";
    progress(job, { kind: "pending", text: queue + clock });
  }
}

async function listen() {
  if (listening) return;
  listening = true;
  let failures = 0;
  let lost = null;
  try {
    while (pending.size || joining) {
      let closed = false;
      try {
        const url = address("queue/data");
        url.searchParams.set("session_hash", session);
        url.searchParams.set("after", sequence);
        const answer = await fetch(url, { credentials: "same-origin", headers: { Accept: "text/event-stream" } });
        if (!answer.ok || !answer.body) throw new Error(String(answer.status));
        failures = 0;
        lost?.remove();
        closed = await read(answer.body);
      } catch {
        failures += 1;
        if (failures === 3) lost = toast("warning", "Connection lost", "Trying to reach the server again…", null);
        if (failures > 12) {
          lost?.remove();
          for (const job of [...pending.values()]) finish(job, { success: false, output: { error: "The server cannot be reached." } });
          return;
        }
      }
      if (!closed) await wait(Math.min(4000, 150 * 2 ** failures));
    }
  } finally {
    listening = false;
    if (pending.size) listen();
  }
}

async function read(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return false;
    const frames = (rest + value).split("\n\n");
    rest = frames.pop();
    for (const frame of frames) {
      if (!frame.startsWith("data: ")) continue;
      const message = JSON.parse(frame.slice(6));
      if (message.seq) {
        if (message.seq <= sequence) continue;
        sequence = message.seq;
      }
      if (message.msg === "close_stream") return true;
      if (message.session_not_found) {
        // The server was started anew: what it was doing for us is gone.
        sequence = 0;
        for (const job of [...pending.values()]) finish(job, { success: false, output: { error: "The server was restarted; please try again." } });
        return true;
      }
      receive(message);
    }
  }
}

function receive(message) {
  const job = pending.get(message.event_id);
  if (!job) {
    if (message.event_id && joining) early.set(message.event_id, [...(early.get(message.event_id) || []), message]);
    return;
  }
  switch (message.msg) {
    case "estimation":
      job.rank = message.rank;
      job.eta = message.rank_eta;
      break;
    case "process_starts":
      job.rank = 0;
      job.eta = message.eta;
      break;
    case "progress":
      job.units = message.progress_data;
      tick(job);
      break;
    case "log":
      if (message.visible !== false) toast(message.level, message.title, message.log, message.duration);
      break;
    case "process_generating":
      job.units = null;
      if (!job.generating) progress(job, { kind: "generating" });
      job.generating = true;
      owe(job, job.data ? job.data.map((value, index) => edit(value, message.output.data[index])) : message.output.data);
      changedStates(message.output);
      // However fast values come, the page paints once a frame.
      job.frame ||= requestAnimationFrame(() => pending.has(job.id) && show(job));
      break;
    case "process_completed":
      finish(job, message);
  }
}

/** Take new values of a job; of those that the page passes over, changes of other properties are kept. */
function owe(job, data) {
  data.forEach((value, at) => {
    if (value?.__type__ !== "update") return;
    const before = job.frame && job.data[at]?.__type__ !== "update" ? { value: job.data[at] } : {};
    job.owed[at] = { ...(job.owed[at] || before), ...value };
  });
  job.data = data;
}

/** Show what a job's values are now. */
function show(job) {
  cancelAnimationFrame(job.frame);
  const { owed } = job;
  job.frame = 0;
  job.owed = {};
  apply(job.dep, job.data.map((value, at) => {
    if (owed[at]) return value?.__type__ === "update" ? owed[at] : { ...owed[at], value };
    return value && typeof value === "object" ? structuredClone(value) : value;
  }));
}

function finish(job, message) {
  pending.delete(job.id);
  if (job.frame) job.cancelled ? cancelAnimationFrame(job.frame) : show(job);
  clearInterval(job.clock);
  const output = message.output || {};
  if (message.success) {
    if (output.render_config) import("./render.js").then(({ rendered }) => rendered(output.render_config, job.dep));
    if (output.data && !job.cancelled) apply(job.dep, output.data);
    progress(job, { kind: "done" });
    changedStates(output);
    if (job.dep.show_progress !== "hidden" && !job.cancelled) announce(message.used_cache === "full" ? "Done, from the cache" : "Done");
    if (job.dep.scroll_to_output && output.data) reveal(job.dep);
  } else {
    progress(job, { kind: "error", text: "" });
    if (output.visible !== false) toast("error", output.title || "Error", output.error || "Something went wrong on the server.", "duration" in output ? output.duration : 10);
  }
  job.done?.(Boolean(message.success));
}

function reveal(dep) {
  const el = nodes.get(dep.outputs[0]);
  const box = el?.getBoundingClientRect();
  if (box && (box.top > innerHeight || box.bottom < 0)) el.scrollIntoView({ behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth", block: "nearest" });
}

function changedStates(output) {
  for (const id of output.changed_state_ids || []) trigger(id, "change");
}

export function cancel(job) {
  job.cancelled = true;
  if (!job.id) return;
  post("cancel", { event_id: job.id, session_hash: session, fn_index: job.dep.id }).catch(() => {});
  finish(job, { success: true, output: {} });
}

/** Apply the edits of one output to its value: see the wire protocol. */
export function edit(value, edits) {
  for (const [action, path, change] of edits) {
    if (!path.length) {
      value = action === "replace" ? change : action === "append" && Array.isArray(value) ? [...value, ...change] : value + change;
      continue;
    }
    let at = value;
    for (const step of path.slice(0, -1)) at = at[step];
    const last = path[path.length - 1];
    if (action === "replace") at[last] = change;
    else if (action === "append") at[last] = Array.isArray(at[last]) ? [...at[last], ...change] : at[last] + change;
    else if (action === "add") Array.isArray(at) ? at.splice(last, 0, change) : (at[last] = change);
    else Array.isArray(at) ? at.splice(last, 1) : delete at[last];
  }
  return value;
}
