// Shortcuts. A single key never acts while someone types, and all of them can be
// switched off in the profile (WCAG 2.1.4). Chords come from data-key on the links
// of the sidebar. Ctrl K and Escape use no single character and always work.
const shortcuts = () => root.dataset.shortcuts !== "off";
let chord = 0;
let cursor = -1;

const rows = () => $$(".table tbody tr:has(.row-link)");
function moveCursor(step) {
  const all = rows();
  if (!all.length) return;
  all[cursor]?.classList.remove("is-cursor");
  cursor = Math.max(0, Math.min(all.length - 1, cursor + step));
  all[cursor].classList.add("is-cursor");
  $(".row-link", all[cursor]).focus();
}

const keys = {
  "?": () => openDialog("shortcuts"),
  h: () => $('[data-open="help"]')?.click(),
  "/": () => ($("[data-filter]") ?? $('[data-open="palette"]'))?.focus(),
  j: () => moveCursor(1),
  k: () => moveCursor(-1),
  x: () => $(".check", rows()[cursor] ?? document.createElement("i"))?.click(),
  Enter: () => $(".row-link", rows()[cursor] ?? document.createElement("i"))?.click(),
};

// A list may give its bulk actions keys of their own. They act on the selected rows, or on
// the row of the cursor when none is selected.
function bulkKey(key) {
  const button = $(`.bulk [data-hotkey="${CSS.escape(key)}"]`);
  if (!button) return false;
  if (!boxesOf(button.form).some((b) => b.checked)) {
    const box = rows()[cursor]?.querySelector(".check");
    if (!box) return false;
    box.click();
  }
  button.click();
  return true;
}

document.addEventListener("keydown", (e) => {
  if ((e.ctrlKey || e.metaKey) && !e.shiftKey && e.key.toLowerCase() === "k") {
    e.preventDefault();
    openDialog("palette");
    return;
  }
  if (e.key === "Escape" && help?.open) closeDialog("help");
  if (!shortcuts() || e.ctrlKey || e.metaKey || e.altKey || typing(e.target) || $("dialog:modal")) return;
  if (chord && e.timeStamp - chord < 1500) {
    chord = 0;
    const to = $(`.nav-link[data-key="${CSS.escape(e.key)}"]`);
    if (to) {
      e.preventDefault();
      to.click();
      return;
    }
  }
  if (e.key === "g") {
    chord = e.timeStamp;
    return;
  }
  // Enter belongs to whatever has the focus, unless that is the page itself.
  if (e.key === "Enter" && e.target !== document.body) return;
  if (!Object.hasOwn(keys, e.key)) {
    if (bulkKey(e.key)) e.preventDefault();
    return;
  }
  if (e.key !== "Enter") e.preventDefault();
  keys[e.key]();
});
