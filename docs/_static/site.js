// The explorer stands in a frame: it says how tall it is, and is told whether the page is dark.
const frame = document.getElementById("explorer");
const dark = matchMedia("(prefers-color-scheme: dark)");

function tellTheme() {
  const chosen = document.body.dataset.theme;
  const isDark = chosen === "dark" || (chosen !== "light" && dark.matches);
  frame.contentWindow?.postMessage({explorer: "theme", dark: isDark}, "*");
}

if (frame) {
  addEventListener("message", (event) => {
    if (event.source !== frame.contentWindow || event.data?.explorer !== "height") return;
    if (Number.isFinite(event.data.height)) {
      frame.style.height = `${Math.min(4000, Math.max(300, event.data.height + 16))}px`;
    }
  });
  frame.addEventListener("load", tellTheme);
  dark.addEventListener("change", tellTheme);
  new MutationObserver(tellTheme).observe(document.body, {attributeFilter: ["data-theme"]});
}
// Draw the figures of a notebook that were stored as data.
for (const box of document.querySelectorAll(".plotly-figure")) {
  if (box.dataset.drawn) continue;
  box.dataset.drawn = "1";
  const spec = JSON.parse(box.querySelector("script").textContent);
  const layout = {...spec.layout, autosize: true};
  delete layout.width;
  Plotly.newPlot(box, spec.data, layout, {responsive: true, displaylogo: false});
}
