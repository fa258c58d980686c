// The words of the explorer: one table a language, strings/xx.json; page.py puts them into STRINGS.

let table = STRINGS.en;
/** Use a language from now on; an unknown one, or null, is the reader's, if there is a table of it. */
function speak(language) {
  const wanted = [language, ...(navigator.languages ?? [])].map((name) => String(name).slice(0, 2).toLowerCase());
  const found = wanted.find((name) => Object.hasOwn(STRINGS, name)) ?? "en";
  table = STRINGS[found];
  return found;
}
/** The text of a key, with values in its {places}. */
const t = (key, values = {}) => table[key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
/** A number as readers of the language write it: with so many decimals, or with those that it has. */
const fixed = (v, digits) => plain(v.toFixed(digits));
const plain = (v) => String(v).replace(".", table.decimal);
const counted = (n) => t(n === 1 ? "steps.one" : "steps.many", { n });
