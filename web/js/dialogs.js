// Dialogs. The help panel is modal, so focus is trapped, until it is pinned: then
// it stays beside the page, which remains usable, and comes back on the next page.
const help = document.getElementById("help");
const pinned = () => kept(sessionStorage, "help-pinned") === "yes" && wide.matches;

function openDialog(id) {
  const d = document.getElementById(id);
  if (!d || d.open) return;
  d.opener = document.activeElement;
  if (d === help && pinned()) d.show();
  else d.showModal();
  if (d === help) $("[data-close]", d).focus();
}

function closeDialog(id) {
  const d = document.getElementById(id);
  if (!d?.open) return;
  d.close();
  if (d.opener?.isConnected) d.opener.focus();
}

document.addEventListener("click", async (e) => {
  const t = e.target.closest("[data-open], [data-close], [data-copy], [data-pin]");
  if (!t) return;
  if (t.dataset.open) {
    // A modified click on a link still opens it in a new tab.
    if (e.ctrlKey || e.metaKey || e.shiftKey) return;
    if (t.matches("a")) e.preventDefault();
    // The browser opens the dialog itself where it knows the command attribute.
    if (!("command" in HTMLButtonElement.prototype && t.hasAttribute("command"))) openDialog(t.dataset.open);
  } else if (t.dataset.close) {
    closeDialog(t.dataset.close);
  } else if ("pin" in t.dataset) {
    pin(t.getAttribute("aria-pressed") !== "true");
  } else {
    try {
      await navigator.clipboard.writeText(t.dataset.copy);
      toast("Copied");
    } catch {
      // Without permission (or without https) the text stays selectable on the page.
      getSelection().selectAllChildren(t.closest("[data-copy-source]") ?? t.parentElement);
    }
  }
});

function pin(on) {
  keep(sessionStorage, "help-pinned", on ? "yes" : null);
  const { opener } = help;
  help.close();
  on && wide.matches ? help.show() : help.showModal();
  help.opener = opener;
  showPin();
  $("[data-pin]", help).focus();
}

function showPin() {
  $("[data-pin]", help)?.setAttribute("aria-pressed", String(kept(sessionStorage, "help-pinned") === "yes"));
}

if (help) {
  help.addEventListener("cancel", (e) => { e.preventDefault(); closeDialog("help"); });
  showPin();
  const link = $('[data-open="help"]');
  // htmx attaches its handlers after this module ran.
  if (pinned() && link) addEventListener("load", () => { help.show(); htmx.trigger(link, "restore"); });
}

// The drawer of phones closes when the page it leads to is already shown.
document.addEventListener("click", (e) => {
  if (e.target.closest(".sidebar a[href^='#']")) document.getElementById("nav")?.hidePopover?.();
});

// A panel that cannot load its article still leads to it.
document.addEventListener("htmx:error", (e) => {
  if (!e.target.matches?.('[data-open="help"]')) return;
  const a = document.createElement("a");
  a.href = e.target.href;
  a.textContent = "The article did not load. Open it as a page.";
  document.getElementById("help-body").replaceChildren(a);
});
