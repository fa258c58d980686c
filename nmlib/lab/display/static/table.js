{ // The headings become buttons that sort; where no script runs they stay headings.
  const table = document.currentScript.parentElement.querySelector("table");
  const value = (row, k) => {
    const text = row.cells[k].innerText.replace("−", "-").replaceAll(",", "");
    return isNaN(parseFloat(text)) ? text : parseFloat(text);
  };
  const compare = (a, b) =>
    typeof a === typeof b && typeof a === "number" ? a - b : `${a}`.localeCompare(`${b}`);
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, k) => {
    const button = document.createElement("button");
    Object.assign(button, { type: "button", title: "Sort by this column", textContent: head.innerText });
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const sign = head.ariaSort === "ascending" ? -1 : 1;
      heads.forEach((other) => { other.ariaSort = null; });
      head.ariaSort = sign > 0 ? "ascending" : "descending";
      const rows = [...table.tBodies[0].rows], missing = (x) => x === "–" || x === "-";
      rows.sort((a, b) => {
        const x = value(a, k), y = value(b, k);
        return missing(x) - missing(y) || sign * compare(x, y);
      });
      table.tBodies[0].append(...rows);
    });
  });
}
