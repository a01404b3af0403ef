// Code in colour: each language is a few patterns, tried in order at each place.

import { sheet } from "./core.js";

sheet("code.css");

const words = (text) => `\\b(?:${text.split(" ").join("|")})\\b`;
const STRING = ["string", "\"(?:\\\\[\\s\\S]|[^\"\\\\\\n])*\"?|'(?:\\\\[\\s\\S]|[^'\\\\\\n])*'?"];
const NUMBER = ["number", "\\b0[xXbBoO][\\da-fA-F_]+\\b|\\b\\d[\\d_]*(?:\\.\\d+)?(?:[eE][+-]?\\d+)?[a-zA-Z]?\\b"];
const CALL = ["call", "[A-Za-z_$][\\w$]*(?=\\()"];
const SLASHES = ["comment", "//[^\\n]*|/\\*[\\s\\S]*?(?:\\*/|$)"];
const HASH = ["comment", "#[^\\n]*"];

const JS = "async await break case catch class const continue default delete do else export extends finally for from function if import in instanceof let new of return static super switch this throw try typeof var void while yield";
const TABLE = {
  python: [HASH, ["string", "[rbfuRBFU]{0,2}(?:\"\"\"[\\s\\S]*?(?:\"\"\"|$)|'''[\\s\\S]*?(?:'''|$))"], ["string", `[rbfuRBFU]{0,2}(?:${STRING[1]})`], ["meta", "@[\\w.]+"],
    ["keyword", words("and as assert async await break case class continue def del elif else except finally for from global if import in is lambda match nonlocal not or pass raise return try while with yield")],
    ["constant", words("True False None self cls")], NUMBER, CALL],
  javascript: [SLASHES, ["string", "`(?:\\\\[\\s\\S]|[^`\\\\])*`?"], STRING, ["keyword", words(JS)], ["constant", words("true false null undefined NaN Infinity")], NUMBER, CALL],
  typescript: [SLASHES, ["string", "`(?:\\\\[\\s\\S]|[^`\\\\])*`?"], STRING, ["keyword", words(`${JS} abstract as declare enum implements interface namespace private protected public readonly type keyof`)], ["constant", words("true false null undefined string number boolean any never unknown")], NUMBER, CALL],
  c: [SLASHES, ["meta", "^[ \\t]*#[^\\n]*"], STRING, ["keyword", words("auto break case char const continue default do double else enum extern float for goto if inline int long register restrict return short signed sizeof static struct switch typedef union unsigned void volatile while class namespace template typename public private protected virtual override new delete using operator try catch throw bool constexpr friend this")], ["constant", words("true false NULL nullptr")], NUMBER, CALL],
  json: [["key", "\"(?:\\\\[\\s\\S]|[^\"\\\\\\n])*\"(?=\\s*:)"], STRING, ["constant", words("true false null")], NUMBER],
  yaml: [HASH, ["key", "^[ \\t-]*[\\w.-]+(?=\\s*:)"], STRING, ["constant", words("true false null yes no")], ["meta", "[&*!][\\w-]+"], NUMBER],
  html: [["comment", "<!--[\\s\\S]*?(?:-->|$)"], ["keyword", "</?[\\w:-]+|/?>|<!\\w+"], ["key", "[\\w:@-]+(?==)"], ["string", "\"[^\"]*\"?|'[^']*'?"], ["constant", "&#?\\w+;"]],
  css: [["comment", "/\\*[\\s\\S]*?(?:\\*/|$)"], STRING, ["meta", "@[\\w-]+"], ["key", "--?[\\w-]+(?=\\s*:)|[a-z-]+(?=\\s*:)"], ["constant", "#[\\da-fA-F]{3,8}\\b"], ["keyword", "[.#][\\w-]+"], ["number", "-?\\d*\\.?\\d+(?:[a-z]+|%)?"]],
  sql: [["comment", "--[^\\n]*|/\\*[\\s\\S]*?(?:\\*/|$)"], STRING, ["keyword", `(?i)${words("select from where and or not in is null insert into values update set delete create table drop alter index view join left right inner outer full on as group by order having limit offset union all distinct case when then else end with primary key foreign references default unique exists between like asc desc begin commit rollback")}`], NUMBER, CALL],
  shell: [HASH, STRING, ["meta", "\\$\\{?[\\w@#?*!-]+\\}?"], ["keyword", words("if then else elif fi for while until do done case esac function in return exit export local cd echo set source")], NUMBER],
  r: [HASH, STRING, ["keyword", words("if else for while repeat function return next break in library")], ["constant", words("TRUE FALSE NULL NA Inf NaN")], NUMBER, CALL],
  dockerfile: [HASH, ["keyword", "^(?:FROM|RUN|CMD|LABEL|EXPOSE|ENV|ADD|COPY|ENTRYPOINT|VOLUME|USER|WORKDIR|ARG|ONBUILD|HEALTHCHECK|SHELL)\\b"], STRING, ["meta", "\\$\\{?\\w+\\}?"]],
  latex: [["comment", "%[^\\n]*"], ["keyword", "\\\\(?:[a-zA-Z]+|.)"], ["string", "\\$[^$]*\\$?"], ["meta", "[{}\\[\\]]"]],
  markdown: [["keyword", "^#{1,6} [^\\n]*"], ["string", "`[^`\\n]*`"], ["meta", "^\\s*(?:[-*+]|\\d+\\.) "], ["constant", "\\*\\*[^*\\n]+\\*\\*|\\*[^*\\n]+\\*"], ["key", "\\[[^\\]]*\\]\\([^)]*\\)"]],
};
const ALIASES = { py: "python", js: "javascript", jsx: "javascript", ts: "typescript", tsx: "typescript", cpp: "c", "c++": "c", h: "c", java: "c", cs: "c", go: "c", rust: "c", sh: "shell", bash: "shell", zsh: "shell", console: "shell", yml: "yaml", xml: "html", svg: "html", jinja2: "html", md: "markdown", tex: "latex", docker: "dockerfile", scss: "css" };
const ready = new Map();

function lexer(language) {
  const name = ALIASES[language] || (language?.startsWith("sql") ? "sql" : language);
  if (!TABLE[name]) return null;
  if (!ready.has(name)) {
    const parts = TABLE[name];
    const blind = parts.some(([, pattern]) => pattern.startsWith("(?i)"));
    ready.set(name, { kinds: parts.map(([kind]) => kind), pattern: new RegExp(parts.map(([, pattern]) => `(${pattern.replace("(?i)", "")})`).join("|"), blind ? "gmi" : "gm") });
  }
  return ready.get(name);
}

/** Code as a fragment of text and coloured spans. */
export function coloured(code, language) {
  const out = document.createDocumentFragment();
  const known = lexer((language || "").toLowerCase());
  if (!known || code.length > 200_000) {
    out.append(code);
    return out;
  }
  let at = 0;
  for (const match of code.matchAll(known.pattern)) {
    if (!match[0]) continue;
    if (match.index > at) out.append(code.slice(at, match.index));
    const span = document.createElement("span");
    span.className = `g-tok-${known.kinds[match.slice(1).findIndex((group) => group !== undefined)]}`;
    span.textContent = match[0];
    out.append(span);
    at = match.index + match[0].length;
  }
  out.append(code.slice(at));
  return out;
}
