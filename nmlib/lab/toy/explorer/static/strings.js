// What a reader reads, in the language chosen; the tables are strings/*.json, one a language.

let language = "en", table = TEXTS.en, comma = ".";

/** Speak a language; "" means the reader's own, as the browser tells it, or English. */
function speak(wanted) {
  const known = Object.keys(TEXTS), own = (navigator.languages ?? []).map((name) => name.split("-")[0]);
  language = known.includes(wanted) ? wanted : own.find((name) => known.includes(name)) ?? "en";
  table = TEXTS[language];
  comma = new Intl.NumberFormat(language).formatToParts(0.5).find(({ type }) => type === "decimal").value;
}

/** The text of a key, its {placeholders} filled in. */
const tr = (key, values = {}) => table[key].replace(/\{(\w+)\}/g, (_, name) => values[name]);

/** A number with decimals, or as short as it is, with the comma of the language. */
const num = (v, digits) => v.toFixed(digits).replace(".", comma);
const short = (v) => String(v).replace(".", comma);
const percent = (v, digits = 1) => `${num(100 * v, digits)} %`;
