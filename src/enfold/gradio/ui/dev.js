// While an author works on a demo: load the page anew when its program runs again.

import { address, config, wait } from "./core.js";

export async function watch() {
  for (;;) {
    await wait(500);
    try {
      const answer = await fetch(address("app_id"), { cache: "no-store", credentials: "same-origin" });
      if (answer.ok && (await answer.json()).app_id !== config.app_id) return location.reload();
    } catch {
      /* it is being started */
    }
  }
}
