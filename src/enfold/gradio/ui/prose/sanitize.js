// HTML reduced to harmless elements before it reaches the page: the one sanitizer.

const TAGS = new Set(
  ("a abbr article aside b bdi bdo blockquote br caption cite code col colgroup dd del details dfn div dl dt em figcaption figure footer h1 h2 h3 " +
    "h4 h5 h6 header hr i img ins kbd li main mark nav ol p picture pre q s samp section small span strong sub summary sup table tbody td tfoot th " +
    "thead time tr u ul var video audio source center font").split(" "),
);
const DROPPED = new Set("script style template noscript iframe object embed form input button select textarea svg math link meta base title".split(" "));
const ATTRIBUTES = new Set(
  "class title lang dir align width height colspan rowspan scope start reversed open datetime cite alt controls loop muted role color".split(" "),
);
const STYLES = new Set(
  ("color background-color background text-align text-decoration text-transform font font-size font-style font-weight font-family line-height letter-spacing " +
    "margin margin-top margin-bottom margin-left margin-right margin-inline margin-block padding padding-top padding-bottom padding-left padding-right " +
    "border border-radius border-top border-bottom border-left border-right border-color border-collapse width height max-width max-height min-width min-height display " +
    "flex flex-direction flex-wrap flex-grow align-items justify-content gap grid-template-columns vertical-align white-space overflow opacity box-shadow list-style object-fit").split(" "),
);

function safeUrl(url, images) {
  const text = url.replace(/[\u0000-\u0020]/g, "");
  if (/^data:image\/(png|jpe?g|gif|webp);/i.test(text)) return images;
  const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(text);
  return !scheme || ["http", "https", ...(images ? ["blob"] : ["mailto", "tel"])].includes(scheme[1].toLowerCase());
}

const scratch = document.createElement("i");

function clean(node, into) {
  for (const child of node.childNodes) {
    if (child.nodeType === Node.TEXT_NODE) {
      into.append(child.data);
      continue;
    }
    if (child.nodeType !== Node.ELEMENT_NODE) continue;
    const tag = child.localName;
    if (DROPPED.has(tag) || child.namespaceURI !== "http://www.w3.org/1999/xhtml") continue;
    if (!TAGS.has(tag)) {
      clean(child, into);
      continue;
    }
    const el = document.createElement(tag);
    for (const { name, value } of child.attributes) {
      if (ATTRIBUTES.has(name) || name.startsWith("aria-") || (name.startsWith("data-") && !name.startsWith("data-g-"))) el.setAttribute(name, value);
      else if (name === "href" && tag === "a" && safeUrl(value, false)) el.setAttribute("href", value);
      else if (name === "src" && ["img", "video", "audio", "source"].includes(tag) && safeUrl(value, true)) el.setAttribute("src", value);
    }
    scratch.style.cssText = child.getAttribute("data-g-style") || "";
    for (const property of scratch.style) {
      const value = scratch.style.getPropertyValue(property);
      const base = STYLES.has(property) || [...STYLES].some((known) => property.startsWith(`${known}-`));
      if (base && !/url\s*\(|expression|image-set/i.test(value) && !(property === "position")) el.style.setProperty(property, value);
    }
    if (el.href && new URL(el.href, location.href).origin !== location.origin) Object.assign(el, { target: "_blank", rel: "noopener noreferrer" });
    if (tag === "img") el.loading = "lazy";
    clean(child, el);
    into.append(el);
  }
  return into;
}

/** Turn HTML into elements, without anything that runs, submits, frames or reaches for the page around it. */
export function sanitize(html) {
  // The page's policy complains of styles and handlers while they are parsed, harmless as they are there: they go by other
  // names. Styles are then set through the object model, one by one; handlers are dropped.
  const renamed = html.replace(/<[a-zA-Z](?:[^>"']|"[^"]*"|'[^']*')*>/g, (tag) =>
    tag.replace(/"[^"]*"|'[^']*'|(?<=[\s/"'])(?:style|on\w+)(?=\s*=)/gi, (part) => (/^["']/.test(part) ? part : `data-g-${part.toLowerCase()}`)),
  );
  return clean(new DOMParser().parseFromString(renamed, "text/html").body, document.createDocumentFragment());
}
