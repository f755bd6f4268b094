// Copies the pinned third-party files into vendor/ and writes the manifest that a
// Go test compares: npm ci && npm run vendor. Building the program needs none of this.
import { createHash } from "node:crypto";
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";

const lock = JSON.parse(readFileSync("package-lock.json", "utf8"));
const version = (name) => lock.packages[`node_modules/${name}`].version;
const text = (path) => readFileSync(`node_modules/${path}`, "utf8");

mkdirSync("vendor/licences", { recursive: true });

// A source map is not shipped, so the line that names one would only cause a 404.
const script = (path) => text(path).replace(/\n?\/\/# sourceMappingURL=.*\s*$/, "\n");
writeFileSync("vendor/htmx.min.js", script("htmx.org/dist/htmx.min.js"));
writeFileSync("vendor/hx-sse.min.js", script("htmx.org/dist/ext/hx-sse.min.js"));
copyFileSync("node_modules/@fontsource-variable/inter/files/inter-latin-wght-normal.woff2", "vendor/inter-latin.woff2");

const names = readFileSync("icons.txt", "utf8").trim().split("\n");
const symbols = names.map((name) => {
  const body = text(`lucide-static/icons/${name}.svg`)
    .replace(/<!--.*?-->/gs, "")
    .replace(/<svg[^>]*>|<\/svg>/gs, "")
    .replace(/\s+/g, " ")
    .replace(/ \/>/g, "/>")
    .replace(/> </g, "><")
    .trim();
  return `<symbol id="${name}" viewBox="0 0 24 24">${body}</symbol>`;
});
writeFileSync("vendor/icons.svg", `<svg xmlns="http://www.w3.org/2000/svg">\n${symbols.join("\n")}\n</svg>\n`);

const licence = { "htmx.org": "0BSD", "lucide-static": "ISC", "@fontsource-variable/inter": "OFL-1.1" };
const short = { "htmx.org": "htmx", "lucide-static": "lucide", "@fontsource-variable/inter": "inter" };
for (const name of Object.keys(licence)) {
  writeFileSync(`vendor/licences/${short[name]}.txt`, text(`${name}/LICENSE`).trimEnd() + "\n");
}

const origin = {
  "htmx.min.js": "htmx.org",
  "hx-sse.min.js": "htmx.org",
  "icons.svg": "lucide-static",
  "inter-latin.woff2": "@fontsource-variable/inter",
};
const files = Object.entries(origin).map(([file, name]) => ({
  file,
  package: name,
  version: version(name),
  licence: licence[name],
  licenceFile: `licences/${short[name]}.txt`,
  sha256: createHash("sha256").update(readFileSync(`vendor/${file}`)).digest("hex"),
}));
writeFileSync("vendor/manifest.json", JSON.stringify({ files }, null, 2) + "\n");
console.log(`${names.length} icons and ${files.length} files are in vendor/`);
