// Enhancements only: every link and form works without this script. The files of
// this folder share one module scope; this one declares what the others use.
const $ = (sel, root = document) => root.querySelector(sel);
const $$ = (sel, root = document) => [...root.querySelectorAll(sel)];
const root = document.documentElement;
const wide = matchMedia("(min-width: 64rem)");
const typing = (el) => el.matches?.("input:not([type=checkbox], [type=radio]), textarea, select, [contenteditable]");

// Storage can be switched off by the browser; a preference is then simply not kept.
const keep = (store, key, value) => { try { value === null ? store.removeItem(key) : store.setItem(key, value); } catch {} };
const kept = (store, key) => { try { return store.getItem(key); } catch { return null; } };

const post = (url, fields) => fetch(url, {
  method: "POST",
  headers: { "HX-Request": "true" },
  body: new URLSearchParams(fields),
});

// Toasts say that something worked. They are announced by the live region they are put in.
function toast(text) {
  const region = $(".toasts");
  if (!region) return;
  const el = document.createElement("div");
  el.className = "toast";
  el.textContent = text;
  region.append(el);
  fade(el);
}

// A toast stays while the pointer or the focus is on it (WCAG 2.2.1).
function fade(el) {
  setTimeout(() => (el.matches(":hover, :focus-within") ? fade(el) : el.remove()), 6000);
}
$$(".toast").forEach(fade);
