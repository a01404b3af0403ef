// Files on their way to the server, and the places visitors give them at.

import { address, config, h, icon, toast } from "./core.js";
import "./icons.js";

const KINDS = { image: "image/*", audio: "audio/*", video: "video/*", text: "text/*" };

/** What the browser's file dialog should offer for `file_types`. */
export function accepts(types) {
  if (!types?.length || types.includes("file")) return "";
  return types.map((type) => KINDS[type] || (type.startsWith(".") ? type : `.${type}`)).join(",");
}

/** Whether a file fits `accept`, as drops and pastes do not ask the dialog. */
function fits(file, accept) {
  if (!accept) return true;
  return accept.split(",").some((each) => (each.endsWith("/*") ? file.type.startsWith(each.slice(0, -1)) : each.includes("/") ? file.type === each : file.name.toLowerCase().endsWith(each.toLowerCase())));
}

/** Send files; resolves to them as they travel. `onProgress` is told the fraction sent. */
export function upload(files, onProgress = () => {}) {
  const limit = config.max_file_size;
  const large = limit && [...files].find((file) => file.size > limit);
  if (large) return Promise.reject(new Error(`${large.name} is larger than the ${Math.round(limit / 1024)} kB that are accepted.`));
  return new Promise((done, fail) => {
    const form = new FormData();
    for (const file of files) form.append("files", file, file.name || "file");
    const request = new XMLHttpRequest();
    request.open("POST", address("upload"));
    request.upload.onprogress = (e) => e.lengthComputable && onProgress(e.loaded / e.total);
    request.onerror = () => fail(new Error("The server cannot be reached."));
    request.onload = () => {
      let body = null;
      try {
        body = JSON.parse(request.responseText);
      } catch {
        /* told below */
      }
      if (request.status !== 200) return fail(new Error(body?.detail || `The server answered ${request.status}.`));
      done(body.map((path, index) => ({
        path, url: null, size: files[index].size, orig_name: files[index].name || "file", mime_type: files[index].type || null, is_stream: false, meta: { _type: "gradio.FileData" },
      })));
    };
    request.send(form);
  });
}

/** Send files for a component: shows how far it is, tells what goes wrong, and lets events wait for the end. */
export async function uploadFor(node, files) {
  node.sending = (async () => {
    try {
      node.status({ kind: "pending", text: "Uploading", fraction: 0 });
      const sent = await upload(files, (fraction) => node.status({ kind: "pending", text: `Uploading ${Math.round(fraction * 100)}%`, fraction }));
      node.status({ kind: "done" });
      return sent;
    } catch (error) {
      node.status({ kind: "error" });
      toast("error", "Upload", error.message);
      return null;
    }
  })();
  return node.sending;
}

/** A place to drop, paste or choose files. `options`: text, accept, multiple, directory, name; `onFiles` receives a list. */
export function dropZone(options, onFiles) {
  const { text = "Drop a file here, or click to choose", accept = "", multiple = false, directory = false, name = "Upload file" } = options;
  const input = h("input", { type: "file", accept, multiple: multiple || directory, tabIndex: -1, "aria-hidden": "true", class: "g-sr" });
  if (directory) input.webkitdirectory = true;
  const button = h("button", { type: "button", class: "g-drop", "aria-label": name }, icon("upload"), h("span", { text }));
  const zone = h("div", { class: "g-dropzone" }, button, input);
  const take = (list) => {
    const good = [...list].filter((file) => fits(file, accept));
    if (good.length < list.length) toast("warning", "Upload", `Files of these types are expected: ${accept.replace(/,/g, ", ")}`);
    if (good.length) onFiles(multiple || directory ? good : good.slice(0, 1));
  };
  button.addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    take(input.files);
    input.value = "";
  });
  droppable(zone, take);
  zone.addEventListener("paste", (e) => e.clipboardData.files.length && take(e.clipboardData.files));
  return zone;
}

/** Let files be dropped on an element. */
export function droppable(el, take) {
  el.addEventListener("dragover", (e) => {
    e.preventDefault();
    el.classList.add("over");
  });
  for (const event of ["dragleave", "drop"]) el.addEventListener(event, () => el.classList.remove("over"));
  el.addEventListener("drop", (e) => {
    e.preventDefault();
    if (e.dataTransfer.files.length) take(e.dataTransfer.files);
  });
}

/** Pictures in the clipboard, asked for by a button. */
export async function clipboardImage() {
  try {
    for (const item of await navigator.clipboard.read()) {
      const type = item.types.find((each) => each.startsWith("image/"));
      if (type) return new File([await item.getType(type)], `clipboard.${type.split("/")[1]}`, { type });
    }
    toast("info", "Clipboard", "There is no picture in the clipboard.");
  } catch {
    toast("warning", "Clipboard", "The browser does not let this page read the clipboard; press Ctrl+V on the upload field instead.");
  }
  return null;
}

/** The camera's or microphone's stream, or null after telling the visitor why not. */
export async function capture(constraints) {
  try {
    return await navigator.mediaDevices.getUserMedia(constraints);
  } catch (error) {
    toast("error", constraints.video ? "Camera" : "Microphone", error.name === "NotAllowedError" ? "Its use was not allowed." : "It cannot be used here.");
    return null;
  }
}

export const kilobytes = (size) => (size == null ? "" : size < 1024 ? `${size} B` : size < 1048576 ? `${(size / 1024).toFixed(1)} kB` : `${(size / 1048576).toFixed(1)} MB`);
