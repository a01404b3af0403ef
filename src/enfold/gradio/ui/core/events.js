// Events: which functions run when something happens, and what follows.

import { nodes } from "./node.js";
import { toast } from "./notes.js";
import { cancel, submit } from "./wire.js";

export const dependencies = new Map();

/** Make functions known; what they listen to must be wired before. */
export function attach(deps) {
  for (const dep of deps) dependencies.set(dep.id, { ...dep, jobs: new Set(), again: null });
}

/** Run what listens to an event of a block. */
export function trigger(id, event, data = null) {
  for (const dep of dependencies.values()) {
    if (dep.targets.some(([target, name]) => target === id && name === event)) run(dep, id, data);
  }
}

export async function run(dep, triggerId, eventData) {
  for (const id of dep.cancels) for (const job of [...(dependencies.get(id)?.jobs || [])]) cancel(job);
  if (dep.jobs.size && dep.trigger_mode === "once") return;
  if (dep.jobs.size && dep.trigger_mode === "always_last") {
    dep.again = [triggerId, eventData];
    return;
  }
  const job = { dep, id: null, data: null, owed: {}, frame: 0, started: performance.now(), cancelled: false };
  dep.jobs.add(job);
  let failed = false;
  try {
    await Promise.all(dep.inputs.map((id) => nodes.get(id)?.settled?.()));
    let values = dep.inputs.map((id) => nodes.get(id)?.value ?? null);
    const script = dep.js && window.__g_js?.[dep.id];
    if (script) {
      const extra = dep.backend_fn ? [] : dep.outputs.map((id) => nodes.get(id)?.value ?? null);
      let result = await script(...values, ...extra);
      const wanted = dep.backend_fn ? dep.inputs.length : dep.outputs.length;
      if (!Array.isArray(result) || (wanted === 1 && result.length !== 1)) result = [result];
      if (dep.backend_fn) values = result.slice(0, wanted);
      else if (result[0] !== undefined || result.length > 1) apply(dep, result);
    }
    if (dep.backend_fn) failed = !(await submit(job, values, triggerId, eventData));
  } catch (error) {
    failed = true;
    if (!error.told) toast("error", "Error", error.message || String(error));
    progress(job, { kind: error.told ? "done" : "error" });
  } finally {
    dep.jobs.delete(job);
  }
  if (job.cancelled) return;
  for (const next of dependencies.values()) {
    if (next.trigger_after !== dep.id) continue;
    if ((next.trigger_only_on_success && failed) || (next.trigger_only_on_failure && !failed)) continue;
    run(next, triggerId, null);
  }
  if (dep.again) {
    const [id, data] = dep.again;
    dep.again = null;
    run(dep, id, data);
  }
}

export function apply(dep, values) {
  dep.outputs.forEach((id, index) => {
    const node = nodes.get(id);
    const value = values[index];
    if (!node || value === undefined) return;
    if (value && typeof value === "object" && value.__type__ === "update") {
      const { __type__, ...changed } = value;
      node.update(changed);
    } else if (node.gtype !== "state") node.update({ value });
  });
}

export function progress(job, state) {
  const { dep } = job;
  if (dep.show_progress === "hidden") return;
  const shown = state.kind === "pending" && dep.show_progress === "full" ? state : { ...state, text: "" };
  for (const id of dep.show_progress_on || dep.outputs) nodes.get(id)?.status?.(shown);
}
