// The account learns the time zone of the browser once, when it has none yet.
const zoneUrl = root.dataset.detectZone;
if (zoneUrl && !kept(sessionStorage, "zone-sent")) {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  keep(sessionStorage, "zone-sent", "yes");
  if (zone) post(zoneUrl, { time_zone: zone }).catch(() => {});
}

// The last workspace is remembered for the page that offers a choice of them.
if (root.dataset.workspace) keep(localStorage, "workspace", root.dataset.workspace);
const last = kept(localStorage, "workspace");
if (last) {
  const item = $$("[data-workspace-item]").find((el) => el.dataset.workspaceItem === last);
  item?.parentElement.prepend(item);
}
