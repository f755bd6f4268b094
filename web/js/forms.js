// After a refused form the summary takes the focus, so that it is read first.
const focusErrors = (within) => $("[data-errors]", within)?.focus();
focusErrors(document);
document.addEventListener("htmx:after:swap", (e) => focusErrors(e.target));

// Unsaved changes: forms with data-guard ask before the page is left.
const fields = (form) => new URLSearchParams(
  [...new FormData(form)].map(([k, v]) => [k, typeof v === "string" ? v : v.name]),
).toString();
const guarded = new Map();
$$("form[data-guard]").forEach((form) => {
  // A form that came back with errors already holds unsaved changes.
  guarded.set(form, $("[data-errors]", form) ? null : fields(form));
  form.addEventListener("submit", () => guarded.delete(form));
});
addEventListener("beforeunload", (e) => {
  for (const [form, before] of guarded) if (form.isConnected && fields(form) !== before) e.preventDefault();
});

// A second press while the first is under way would act twice.
document.addEventListener("submit", (e) => {
  const form = e.target;
  if (e.defaultPrevented || form.method !== "post") return;
  if (form.dataset.sent) {
    e.preventDefault();
    return;
  }
  form.dataset.sent = "yes";
  const button = e.submitter;
  setTimeout(() => button?.classList.add("htmx-request"), 300);
  // A download leaves the page in place: release the form after a while.
  setTimeout(() => release(form, button), 8000);
});
function release(form, button) {
  delete form.dataset.sent;
  button?.classList.remove("htmx-request");
}
addEventListener("pageshow", (e) => {
  if (e.persisted) $$("form[data-sent]").forEach((f) => release(f, $(".htmx-request", f)));
});

// Forms that filter a list: a choice acts at once, where the form is not htmx's own.
document.addEventListener("change", (e) => {
  const form = e.target.form;
  if (form?.matches("[data-auto-submit]:not([hx-get])") && e.target.matches("select, [type=checkbox], [type=radio], [type=date]")) {
    form.requestSubmit();
  }
});
