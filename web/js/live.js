// Live updates. The server sends `event: changed` with a topic such as "bell" or
// "certificates/0191…"; whoever shows that topic asks for itself again. Rights are so
// checked where they always are, and nothing is trusted because it came by the stream.
// The topic "*" comes when the stream was away for long: anything may have changed.
document.addEventListener("changed", (e) => {
  const topic = String(e.detail?.data ?? "").trim();
  if (!topic) return;
  const shown = topic === "*" ? "[data-live]" : `[data-live~="${CSS.escape(topic)}"]`;
  $$(shown).forEach((el) => htmx.trigger(el, "live"));
});

// Where the stream is not available for long, the page says so instead of looking fresh.
let failures = 0;
document.addEventListener("htmx:sse:error", () => { if (++failures > 2) root.dataset.live = "off"; });
document.addEventListener("htmx:sse:after:connection", () => { failures = 0; delete root.dataset.live; });

// A fragment that asks for a dialog gets it once it has arrived.
document.addEventListener("htmx:after:swap", () => {
  const d = $("dialog[data-open-on-load]:not([open])");
  if (d) openDialog(d.id);
});
