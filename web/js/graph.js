// Maps: zoom with the wheel and the buttons, move by dragging or the arrow keys. Without
// this script the drawing scrolls, and every link works. Sizes are attributes of the SVG,
// since the policy allows no inline style.
const graphs = new WeakMap();
const zoomStep = 1.25;

function startGraph(box) {
  const view = $(".graph-view", box);
  const svg = $(".graph-svg", box);
  if (!view || !svg || graphs.has(svg)) return;
  const whole = svg.viewBox.baseVal;
  const all = { x: whole.x, y: whole.y, w: whole.width, h: whole.height };
  const seen = { ...all };
  view.classList.add("is-live");
  // The whole drawing is shown where it can still be read there; else its beginning.
  const smallest = 0.65;
  const size = Math.min(1, Math.max(view.clientWidth / all.w, smallest));
  const height = Math.round(Math.min(all.h * size, innerHeight * 0.7));
  svg.setAttribute("height", height);
  svg.removeAttribute("width");
  const show = () => svg.setAttribute("viewBox", `${seen.x} ${seen.y} ${seen.w} ${seen.h}`);
  seen.w = view.clientWidth / size;
  seen.h = height / size;
  if (seen.w > all.w) seen.x = all.x - (seen.w - all.w) / 2;
  show();
  const zoom = (by, cx = seen.x + seen.w / 2, cy = seen.y + seen.h / 2) => {
    const w = Math.min(Math.max(seen.w * by, all.w / 12), Math.max(all.w, svg.clientWidth) * 2);
    const real = w / seen.w;
    seen.x = cx - (cx - seen.x) * real;
    seen.y = cy - (cy - seen.y) * real;
    seen.w = w;
    seen.h *= real;
    show();
  };
  const move = (dx, dy) => { seen.x += dx; seen.y += dy; show(); };
  const scale = () => Math.max(seen.w / svg.clientWidth, seen.h / svg.clientHeight);
  const at = (e) => {
    const p = new DOMPoint(e.clientX, e.clientY).matrixTransform(svg.getScreenCTM().inverse());
    return [p.x, p.y];
  };
  graphs.set(svg, { zoom, fit: () => { Object.assign(seen, all); show(); } });

  // The wheel alone scrolls the page, as it does everywhere; with Ctrl it zooms.
  view.addEventListener("wheel", (e) => {
    if (!e.ctrlKey && !e.metaKey) return;
    e.preventDefault();
    zoom(e.deltaY > 0 ? zoomStep : 1 / zoomStep, ...at(e));
  }, { passive: false });

  let from = null;
  let moved = 0;
  view.addEventListener("pointerdown", (e) => { if (e.button === 0) { from = [e.clientX, e.clientY]; moved = 0; } });
  view.addEventListener("pointermove", (e) => {
    if (!from) return;
    const [dx, dy] = [e.clientX - from[0], e.clientY - from[1]];
    moved += Math.abs(dx) + Math.abs(dy);
    // Captured only once it is a drag, or links would not get their clicks.
    if (moved > 4 && !view.hasPointerCapture(e.pointerId)) view.setPointerCapture(e.pointerId);
    view.classList.toggle("is-dragged", moved > 4);
    move(-dx * scale(), -dy * scale());
    from = [e.clientX, e.clientY];
  });
  const end = () => { from = null; view.classList.remove("is-dragged"); };
  view.addEventListener("pointerup", end);
  view.addEventListener("pointercancel", end);
  view.addEventListener("click", (e) => { if (moved > 4) e.preventDefault(); }, true);
  view.addEventListener("dragstart", (e) => e.preventDefault());

  view.addEventListener("keydown", (e) => {
    const step = seen.w / 8;
    const way = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] }[e.key];
    if (e.target === view && way) { e.preventDefault(); move(...way); }
    else if (e.target === view && (e.key === "+" || e.key === "-")) { e.preventDefault(); zoom(e.key === "-" ? zoomStep : 1 / zoomStep); }
  });
}

document.addEventListener("click", (e) => {
  const button = e.target.closest("[data-zoom]");
  if (!button) return;
  const graph = graphs.get($(".graph-svg", button.closest("[data-graph]")));
  if (!graph) return;
  if (button.dataset.zoom === "fit") graph.fit();
  else graph.zoom(button.dataset.zoom === "in" ? 1 / zoomStep : zoomStep);
});

const startGraphs = () => $$("[data-graph]").forEach(startGraph);
startGraphs();
document.addEventListener("htmx:after:swap", startGraphs);
