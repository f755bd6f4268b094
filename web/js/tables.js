// Selection: the bar itself is shown by CSS; the script adds the count, the header
// box and ranges with Shift.
let lastBox = null;
const boxesOf = (form) => $$("tbody .check", form);

function countSelection(form) {
  const boxes = boxesOf(form);
  const n = boxes.filter((b) => b.checked).length;
  const all = $("[data-select-all]", form);
  $$("[data-count]", form).forEach((el) => { el.textContent = n; });
  if (!all) return;
  all.checked = n > 0 && n === boxes.length;
  all.indeterminate = n > 0 && n < boxes.length;
  // "Select all that match" is offered once the whole page is selected.
  $$("[data-select-matching]", form).forEach((el) => { el.hidden = !all.checked; });
}

document.addEventListener("change", (e) => {
  const form = e.target.closest("form:has(.table)");
  if (!form || !e.target.matches(".check")) return;
  if (e.target.matches("[data-select-all]")) boxesOf(form).forEach((b) => { b.checked = e.target.checked; });
  countSelection(form);
});

document.addEventListener("click", (e) => {
  if (!e.target.matches("tbody .check")) return;
  const boxes = boxesOf(e.target.closest("table"));
  const from = boxes.indexOf(lastBox);
  if (e.shiftKey && from >= 0) {
    const to = boxes.indexOf(e.target);
    boxes.slice(Math.min(from, to), Math.max(from, to) + 1).forEach((b) => { b.checked = e.target.checked; });
  }
  lastBox = e.target;
});

document.addEventListener("reset", (e) => {
  if (e.target.matches("form:has(.table)")) setTimeout(() => countSelection(e.target));
});
// The browser restores checked boxes when someone comes back to a page.
addEventListener("pageshow", () => $$("form:has([data-select-all])").forEach(countSelection));
