// Draw the figures of a notebook that were stored as data.
for (const box of document.querySelectorAll(".plotly-figure")) {
  if (box.dataset.drawn) continue;
  box.dataset.drawn = "1";
  const spec = JSON.parse(box.querySelector("script").textContent);
  const layout = {...spec.layout, autosize: true};
  delete layout.width;
  Plotly.newPlot(box, spec.data, layout, {responsive: true, displaylogo: false});
}
