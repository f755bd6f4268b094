// Command palette: a listbox under a combobox. Pages come from the sidebar, records
// from the search address as ready options. The same form without script is the
// search page.
const palette = document.getElementById("palette");
if (palette) {
  const form = $("form", palette);
  const input = $("input", palette);
  const list = $("[role=listbox]", palette);
  const status = $("[data-palette-status]", palette);
  let wait, running;

  const options = () => $$("[role=option]", list);
  const select = (i) => {
    const all = options();
    const at = all.length ? (i + all.length) % all.length : -1;
    all.forEach((o, n) => {
      o.id = `option-${n}`;
      o.setAttribute("aria-selected", String(n === at));
    });
    all[at]?.scrollIntoView({ block: "nearest" });
    if (at < 0) input.removeAttribute("aria-activedescendant");
    else input.setAttribute("aria-activedescendant", all[at].id);
    return at;
  };
  const current = () => options().findIndex((o) => o.getAttribute("aria-selected") === "true");

  const pages = (q) => $$(".nav-link").filter((a) => a.dataset.label.toLowerCase().includes(q)).map((a) => {
    const li = document.createElement("li");
    li.setAttribute("role", "option");
    li.dataset.href = a.href;
    const hint = document.createElement("span");
    hint.className = "hint";
    hint.textContent = a.dataset.key ? `g ${a.dataset.key}` : "Page";
    li.append($(".i", a).cloneNode(true), a.dataset.label, hint);
    return li;
  });

  const draw = (found = []) => {
    list.replaceChildren(...pages(input.value.trim().toLowerCase()), ...found);
    select(0);
    const n = options().length;
    status.textContent = n ? `${n} ${n === 1 ? "result" : "results"}` : "Nothing found";
    status.classList.toggle("vh", n > 0);
  };

  const ask = async () => {
    running?.abort();
    const q = input.value.trim();
    if (q.length < 2) return;
    running = new AbortController();
    try {
      const url = new URL(form.action);
      url.searchParams.set("q", q);
      const res = await fetch(url, { headers: { "HX-Request": "true" }, signal: running.signal });
      if (!res.ok) throw new Error(String(res.status));
      const doc = new DOMParser().parseFromString(await res.text(), "text/html");
      draw($$("[role=option]", doc));
    } catch (err) {
      if (err.name !== "AbortError") {
        status.textContent = "Search did not answer. Press Enter to open the search page.";
        status.classList.remove("vh");
      }
    }
  };

  input.addEventListener("input", () => {
    draw();
    clearTimeout(wait);
    wait = setTimeout(ask, 150);
  });
  input.addEventListener("keydown", (e) => {
    if (e.key === "ArrowDown" || e.key === "ArrowUp") {
      e.preventDefault();
      select(current() + (e.key === "ArrowDown" ? 1 : -1));
    } else if (e.key === "Enter") {
      const to = options()[current()]?.dataset.href;
      if (to) {
        e.preventDefault();
        location.assign(to);
      }
    }
  });
  list.addEventListener("click", (e) => {
    const option = e.target.closest("[role=option]");
    if (option) location.assign(option.dataset.href);
  });
  palette.addEventListener("close", () => { input.value = ""; draw(); });
  draw();
}

// Type to filter, for long menus such as the list of workspaces.
document.addEventListener("input", (e) => {
  if (!e.target.matches("[data-narrow]")) return;
  const q = e.target.value.trim().toLowerCase();
  $$("[data-narrow-item]", e.target.closest("[popover]")).forEach((item) => {
    item.hidden = !item.textContent.toLowerCase().includes(q);
  });
});
