// The server writes data-theme from the account; here it changes at once and the
// account is told. The same buttons are a form for browsers without script.
document.addEventListener("submit", async (e) => {
  const form = e.target.closest("[data-theme-form]");
  if (!form) return;
  e.preventDefault();
  let theme = e.submitter?.value ?? "system";
  if (e.submitter && "toggle" in e.submitter.dataset) {
    const chosen = root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
    theme = chosen === "dark" ? "light" : "dark";
  }
  if (theme === "system") delete root.dataset.theme;
  else root.dataset.theme = theme;
  $$("[data-theme-form] [aria-pressed]").forEach((b) => b.setAttribute("aria-pressed", String(b.value === theme)));
  // A failure leaves the choice in place for this page only: it is not worth a message.
  await post(form.action, { theme }).catch(() => {});
});

document.addEventListener("click", (e) => {
  if (!e.target.closest("[data-collapse]")) return;
  const collapsed = root.dataset.sidebar !== "collapsed";
  if (collapsed) root.dataset.sidebar = "collapsed";
  else delete root.dataset.sidebar;
  // A cookie and not storage, so that the server can draw the next page right at once.
  document.cookie = `sidebar=${collapsed ? "collapsed" : ""}; path=/; samesite=lax; max-age=${collapsed ? 31536000 : 0}`;
  showCollapse();
});

function showCollapse() {
  $$("[data-collapse]").forEach((b) => b.setAttribute("aria-expanded", String(root.dataset.sidebar !== "collapsed")));
}
if (/(^|; )sidebar=collapsed/.test(document.cookie)) root.dataset.sidebar = "collapsed";
showCollapse();
