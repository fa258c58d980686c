// Keys pressed in a panel stay in the panel: JupyterLab's and Notebook's commands ('d d' deletes a
// cell, arrows move between cells) listen further out. Ctrl+S still saves the notebook.
function keepKeys(element) {
  element.addEventListener("keydown", (event) => {
    const saves = (event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "s";
    if (!saves) event.stopPropagation();
  });
}
