// Long pages: fields far down are neither styled nor painted until they come near, and made when there is time.

import { dependencies, kinds } from "./core.js";

const NEAR = 60; // fields: more than a screen of them
const PLAIN = new Set(["row", "column", "group", "form"]);
const SLICE = 8; // milliseconds of work between two looks at what the visitor does
const later = globalThis.requestIdleCallback ? (call) => requestIdleCallback(call, { timeout: 200 }) : setTimeout;

/** What a page leaves for later while it is placed. */
export class Far {
  constructor(entries) {
    this.entries = entries;
    this.near = 0;
    this.fields = [];
  }

  /** Whether the next block, of this kind, is far down. */
  beyond(Kind) {
    if (this.near >= NEAR) return true;
    if (Kind.later) this.near += 1;
    return false;
  }

  /** Leave a far block as a whole; whether it was. */
  leave(node, branch) {
    const { later } = kinds.get(node.gtype);
    if (!later && !PLAIN.has(node.gtype)) return false;
    node.classList.add("far");
    node.style.setProperty("--lines", this.lines(branch));
    return true;
  }

  /** About how many fields stand above each other in a branch. */
  lines(branch, across = false) {
    if (!branch.children) return 1;
    const type = this.entries.get(branch.id)?.type;
    across = type === "row" || (across && type === "form");
    const sum = branch.children.reduce((all, child) => all + this.lines(child, across), 0);
    return across ? Math.ceil(sum / 6) : sum;
  }

  /** Make the insides of the fields, a little at a time, and at once of those that come near. */
  fill(main) {
    const { fields } = this;
    main.addEventListener("contentvisibilityautostatechange", ({ skipped, target }) => {
      if (skipped || !target.classList.contains("far")) return;
      target.classList.remove("far");
      for (const field of [target, ...target.querySelectorAll(".block")]) field.complete?.();
    });
    let next = 0;
    const some = () => {
      const end = performance.now() + SLICE;
      while (next < fields.length && performance.now() < end) fields[next++].complete();
      if (next < fields.length) later(some);
    };
    // Scripts of the page's author may look for what is inside.
    const scripts = window.__g_load || [...dependencies.values()].some((dep) => dep.js && dep.targets.some(([, event]) => event === "load"));
    if (scripts) for (const field of fields) field.complete();
    else later(some);
  }
}
