// LaTeX formulas as MathML, which browsers draw themselves. What is not known is shown as it was written.

const NS = "http://www.w3.org/1998/Math/MathML";
const m = (tag, ...children) => {
  const el = document.createElementNS(NS, tag);
  el.append(...children);
  return el;
};
const row = (items) => (items.length === 1 ? items[0] : m("mrow", ...items));
const attr = (el, values) => {
  for (const [name, value] of Object.entries(values)) el.setAttribute(name, value);
  return el;
};

const GREEK = Object.fromEntries(("alpha α beta β gamma γ delta δ epsilon ϵ varepsilon ε zeta ζ eta η theta θ vartheta ϑ iota ι kappa κ lambda λ mu μ nu ν xi ξ pi π varpi ϖ " +
  "rho ρ varrho ϱ sigma σ varsigma ς tau τ upsilon υ phi ϕ varphi φ chi χ psi ψ omega ω Gamma Γ Delta Δ Theta Θ Lambda Λ Xi Ξ Pi Π Sigma Σ Upsilon Υ Phi Φ Psi Ψ Omega Ω " +
  "hbar ℏ ell ℓ infty ∞ partial ∂ nabla ∇ emptyset ∅ aleph ℵ Re ℜ Im ℑ wp ℘ imath ı jmath ȷ varnothing ∅").split(" ").reduce((all, word, at, words) => (at % 2 ? all : [...all, [word, words[at + 1]]]), []));
const SIGNS = Object.fromEntries(("times × div ÷ cdot ⋅ pm ± mp ∓ ast ∗ star ⋆ circ ∘ bullet ∙ oplus ⊕ otimes ⊗ odot ⊙ le ≤ leq ≤ ge ≥ geq ≥ ne ≠ neq ≠ approx ≈ equiv ≡ sim ∼ simeq ≃ cong ≅ " +
  "propto ∝ ll ≪ gg ≫ in ∈ notin ∉ ni ∋ subset ⊂ subseteq ⊆ supset ⊃ supseteq ⊇ cup ∪ cap ∩ setminus ∖ forall ∀ exists ∃ neg ¬ lnot ¬ land ∧ wedge ∧ lor ∨ vee ∨ to → rightarrow → leftarrow ← " +
  "Rightarrow ⇒ Leftarrow ⇐ leftrightarrow ↔ Leftrightarrow ⇔ implies ⟹ iff ⟺ mapsto ↦ uparrow ↑ downarrow ↓ ldots … cdots ⋯ vdots ⋮ ddots ⋱ dots … perp ⊥ parallel ∥ mid ∣ angle ∠ triangle △ " +
  "prime ′ langle ⟨ rangle ⟩ lfloor ⌊ rfloor ⌋ lceil ⌈ rceil ⌉ | ‖ { { } } % % # # & & _ _ $ $ colon : longrightarrow ⟶ therefore ∴ because ∵ dagger † top ⊤ bot ⊥ vdash ⊢ models ⊨ lVert ‖ rVert ‖ lvert | rvert |").split(" ").reduce((all, word, at, words) => (at % 2 ? all : [...all, [word, words[at + 1]]]), []));
const BIG = { sum: "∑", prod: "∏", coprod: "∐", int: "∫", iint: "∬", iiint: "∭", oint: "∮", bigcup: "⋃", bigcap: "⋂", bigoplus: "⨁", bigotimes: "⨂", bigvee: "⋁", bigwedge: "⋀" };
const NAMES = new Set("sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh log ln lg exp det dim ker deg arg gcd hom Pr".split(" "));
const LIMITS = new Set("lim max min sup inf limsup liminf argmax argmin".split(" "));
const ACCENTS = { hat: "^", widehat: "^", bar: "¯", overline: "¯", tilde: "~", widetilde: "~", vec: "→", dot: "˙", ddot: "¨", overbrace: "⏞", check: "ˇ", breve: "˘" };
const FONTS = { mathbf: "bold", boldsymbol: "bold-italic", bm: "bold-italic", mathit: "italic", mathrm: "normal", mathsf: "sans-serif", mathtt: "monospace", mathbb: "double-struck", mathcal: "script", mathfrak: "fraktur", mathscr: "script" };
const BASES = { "double-struck": [0x1d538, 0x1d552, 0x1d7d8], script: [0x1d49c, 0x1d4b6], fraktur: [0x1d504, 0x1d51e], bold: [0x1d400, 0x1d41a, 0x1d7ce], "bold-italic": [0x1d468, 0x1d482], "sans-serif": [0x1d5a0, 0x1d5ba, 0x1d7e2], monospace: [0x1d670, 0x1d68a, 0x1d7f6] };
const EXCEPTIONS = { "double-struck": { C: "ℂ", H: "ℍ", N: "ℕ", P: "ℙ", Q: "ℚ", R: "ℝ", Z: "ℤ" }, script: { B: "ℬ", E: "ℰ", F: "ℱ", H: "ℋ", I: "ℐ", L: "ℒ", M: "ℳ", R: "ℛ", e: "ℯ", g: "ℊ", o: "ℴ" }, fraktur: { C: "ℭ", H: "ℌ", I: "ℑ", R: "ℜ", Z: "ℨ" } };
const SPACES = { ",": "0.17em", ":": "0.22em", ";": "0.28em", "!": "-0.17em", quad: "1em", qquad: "2em", " ": "0.25em" };
const FENCES = { matrix: ["", ""], pmatrix: ["(", ")"], bmatrix: ["[", "]"], vmatrix: ["|", "|"], Vmatrix: ["‖", "‖"], Bmatrix: ["{", "}"], cases: ["{", ""], aligned: ["", ""], align: ["", ""], "align*": ["", ""], array: ["", ""], gathered: ["", ""], split: ["", ""], equation: ["", ""], "equation*": ["", ""] };

function styled(character, font) {
  const special = EXCEPTIONS[font]?.[character];
  const base = BASES[font];
  if (special || !base) return special || character;
  const code = character.charCodeAt(0);
  if (code >= 65 && code <= 90) return String.fromCodePoint(base[0] + code - 65);
  if (code >= 97 && code <= 122) return String.fromCodePoint(base[1] + code - 97);
  if (code >= 48 && code <= 57 && base[2]) return String.fromCodePoint(base[2] + code - 48);
  return character;
}

class Parser {
  constructor(source, display) {
    this.tokens = source.match(/\\(?:[a-zA-Z]+\*?|[\s\S])|\d+(?:\.\d+)?|\s+|[\s\S]/g) || [];
    this.at = 0;
    this.display = display;
    this.font = null;
  }

  peek() {
    while (/^\s+$/.test(this.tokens[this.at] || "")) this.at += 1;
    return this.tokens[this.at];
  }

  next() {
    const token = this.peek();
    this.at += 1;
    return token;
  }

  /** Everything up to one of these tokens, which is left. */
  until(...ends) {
    const items = [];
    for (let token = this.peek(); token !== undefined && !ends.includes(token); token = this.peek()) items.push(this.scripted());
    return items;
  }

  group() {
    if (this.peek() !== "{") return this.atom();
    this.next();
    const items = this.until("}");
    if (this.next() !== "}") throw new Error("a brace is not closed");
    return row(items);
  }

  raw() {
    if (this.next() !== "{") throw new Error("a brace is expected");
    let text = "";
    for (let depth = 1; ; ) {
      const token = this.tokens[this.at++];
      if (token === undefined) throw new Error("a brace is not closed");
      depth += (token === "{") - (token === "}");
      if (!depth) return text;
      text += token;
    }
  }

  scripted() {
    const base = this.atom();
    let sub = null;
    let sup = null;
    for (let token = this.peek(); token === "_" || token === "^" || token === "'"; token = this.peek()) {
      this.next();
      if (token === "_") sub = this.group();
      else if (token === "^") sup = this.group();
      else sup = sup ? row([sup, m("mo", "′")]) : m("mo", "′");
    }
    if (!sub && !sup) return base;
    const above = base.limits && (this.display || base.limits === "always");
    if (sub && sup) return m(above ? "munderover" : "msubsup", base, sub, sup);
    return sub ? m(above ? "munder" : "msub", base, sub) : m(above ? "mover" : "msup", base, sup);
  }

  atom() {
    const token = this.next();
    if (token === undefined) return m("mrow");
    if (token === "{") {
      this.at -= 1;
      return this.group();
    }
    if (/^\d/.test(token)) return m("mn", [...token].map((c) => styled(c, this.font)).join(""));
    if (/^[a-zA-Z]$/.test(token)) {
      const el = m("mi", styled(token, this.font));
      if (this.font === "normal") el.setAttribute("mathvariant", "normal");
      return el;
    }
    if (token[0] === "\\") return this.command(token.slice(1));
    if ("()[]|".includes(token)) return attr(m("mo", token), { stretchy: "false" });
    if (/[^\x00-\x7f]/.test(token)) return m("mi", token);
    return m("mo", token === "-" ? "−" : token === "*" ? "∗" : token);
  }

  command(name) {
    if (GREEK[name]) return m("mi", GREEK[name]);
    if (BIG[name]) return Object.assign(m("mo", BIG[name]), { limits: name.includes("int") ? null : "display" });
    if (NAMES.has(name)) return m("mi", name);
    if (LIMITS.has(name)) return Object.assign(m("mi", { limsup: "lim sup", liminf: "lim inf", argmax: "arg max", argmin: "arg min" }[name] || name), { limits: "always" });
    if (SIGNS[name]) return m("mo", SIGNS[name]);
    if (name in SPACES) return attr(m("mspace"), { width: SPACES[name] });
    if (ACCENTS[name]) return attr(m("mover", this.group(), attr(m("mo", ACCENTS[name]), { stretchy: String(/wide|over/.test(name)) })), { accent: "true" });
    if (name === "underline" || name === "underbrace") return m("munder", this.group(), m("mo", name === "underline" ? "_" : "⏟"));
    if (FONTS[name]) return this.inFont(FONTS[name]);
    switch (name) {
      case "frac": case "dfrac": case "tfrac": case "cfrac": return m("mfrac", this.group(), this.group());
      case "binom": return row([m("mo", "("), attr(m("mfrac", this.group(), this.group()), { linethickness: "0" }), m("mo", ")")]);
      case "sqrt": {
        if (this.peek() !== "[") return m("msqrt", this.group());
        this.next();
        const degree = row(this.until("]"));
        this.next();
        return m("mroot", this.group(), degree);
      }
      case "text": case "textrm": case "mbox": case "textbf": case "textit": case "operatorname": case "operatorname*": {
        const el = m(name.startsWith("op") ? "mi" : "mtext", this.raw().replace(/^ | $/g, "\u00a0"));
        return name === "operatorname*" ? Object.assign(el, { limits: "always" }) : el;
      }
      case "left": return this.fenced();
      case "begin": return this.environment();
      case "stackrel": case "overset": {
        const over = this.group();
        return m("mover", this.group(), over);
      }
      case "underset": {
        const under = this.group();
        return m("munder", this.group(), under);
      }
      case "color": case "textcolor": {
        const colour = this.raw();
        const el = m("mstyle", this.group());
        if (/^#?[\w]+$/.test(colour)) el.setAttribute("mathcolor", colour);
        return el;
      }
      case "boxed": return attr(m("menclose", this.group()), { notation: "box" });
      case "not": return m("mo", `${this.group().textContent}\u0338`);
      case "big": case "Big": case "bigg": case "Bigg": case "bigl": case "bigr": case "Bigl": case "Bigr": return this.atom();
      case "displaystyle": case "textstyle": case "limits": case "nolimits": case "nonumber": return m("mrow");
      case "\\": return attr(m("mspace"), { linebreak: "newline" });
      default: throw new Error(`\\${name} is not known`);
    }
  }

  inFont(font) {
    const before = this.font;
    this.font = font;
    const made = this.group();
    this.font = before;
    return made;
  }

  fence() {
    const token = this.next();
    if (token === ".") return "";
    return token[0] === "\\" ? SIGNS[token.slice(1)] || token.slice(1) : token;
  }

  fenced() {
    const open = this.fence();
    const inside = this.until("\\right");
    if (this.next() !== "\\right") throw new Error("\\left without \\right");
    const close = this.fence();
    return m("mrow", m("mo", open), ...inside, m("mo", close));
  }

  environment() {
    const name = this.raw();
    const fences = FENCES[name];
    if (!fences) throw new Error(`the environment ${name} is not known`);
    if (name === "array" && this.peek() === "{") this.raw();
    const rows = [[]];
    for (;;) {
      const cell = row(this.until("&", "\\\\", "\\end"));
      rows[rows.length - 1].push(m("mtd", cell));
      const end = this.next();
      if (end === "\\\\") rows.push([]);
      else if (end === "\\end") break;
      else if (end === undefined) throw new Error("\\begin without \\end");
    }
    this.raw();
    const table = m("mtable", ...rows.filter((cells) => cells.length > 1 || cells[0]?.textContent).map((cells) => m("mtr", ...cells)));
    if (/align|split|cases/.test(name)) {
      table.setAttribute("columnalign", name === "cases" ? "left left" : "right left");
      [...table.children].forEach((line) => [...line.children].forEach((cell, at) => (cell.style.textAlign = name === "cases" || at % 2 ? "start" : "end")));
    }
    return m("mrow", m("mo", fences[0]), table, m("mo", fences[1]));
  }
}

/** A formula as an element; its source, marked as such, when it cannot be drawn. */
export function formula(source, display) {
  try {
    const parser = new Parser(source, display);
    const items = parser.until();
    const math = m("math", row(items.length ? items : [m("mrow")]));
    if (display) attr(math, { display: "block", tabindex: "0" });
    math.setAttribute("aria-label", source);
    return math;
  } catch (error) {
    const code = document.createElement("code");
    code.textContent = source;
    code.title = error.message;
    return code;
  }
}
