// The explorer stands in a frame and says itself how tall it is.
addEventListener("message", (event) => {
  const frame = document.getElementById("explorer");
  if (!frame || event.source !== frame.contentWindow) return;
  if (event.data?.explorer === "height" && Number.isFinite(event.data.height)) {
    frame.style.height = `${Math.min(4000, Math.max(300, event.data.height + 16))}px`;
  }
});
