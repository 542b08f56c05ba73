// Builds what the console serves: the stylesheet, the icons and the vendored files with their licences, and writes down
// what they were made from. Needs Node, at development time only: `make console-css`.
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const modules = join(here, "node_modules");
const out = join(here, "..", "static", "console");
const vendor = join(out, "vendor");
const forTests = join(here, "..", "..", "..", "tests", "journeys", "console", "vendor");

// The file of a package, and where its copy goes.
const VENDORED = [
  ["htmx.org", "dist/htmx.min.js", vendor],
  ["@fontsource-variable/inter", "files/inter-latin-wght-normal.woff2", vendor],
  ["@fontsource-variable/jetbrains-mono", "files/jetbrains-mono-latin-wght-normal.woff2", vendor],
  ["axe-core", "axe.min.js", forTests],
];

const sha256 = (path) => createHash("sha256").update(readFileSync(path)).digest("hex");
const packageOf = (name) => JSON.parse(readFileSync(join(modules, name, "package.json"), "utf8"));

function vendorFiles() {
  const notes = new Map();
  for (const [name, file, folder] of VENDORED) {
    mkdirSync(folder, { recursive: true });
    const { version, license } = packageOf(name);
    const licence = `LICENSE.${name.replace(/^@/, "").replace("/", "-")}.txt`;
    const target = join(folder, file.split("/").pop());
    copyFileSync(join(modules, name, file), target);
    copyFileSync(join(modules, name, "LICENSE"), join(folder, licence));
    if (!notes.has(folder)) notes.set(folder, []);
    notes.get(folder).push({ file: file.split("/").pop(), package: name, version, license, licence, sha256: sha256(target) });
  }
  for (const [folder, entries] of notes) writeFileSync(join(folder, "vendored.json"), JSON.stringify(entries, null, 2) + "\n");
}

function buildIcons() {
  const names = readFileSync(join(here, "icons.txt"), "utf8").split("\n").filter(Boolean);
  const symbols = names.map((name) => {
    const svg = readFileSync(join(modules, "lucide-static", "icons", `${name}.svg`), "utf8");
    const inner = svg.replace(/^[\s\S]*?<svg[\s\S]*?>/, "").replace(/<\/svg>\s*$/, "").replace(/\s*\n\s*/g, "");
    return `<symbol id="${name}" viewBox="0 0 24 24">${inner}</symbol>`;
  });
  const { version } = packageOf("lucide-static");
  const head = `<!-- Lucide ${version}, ISC: LICENSE.lucide-static.txt -->`;
  writeFileSync(join(out, "icons.svg"), `<svg xmlns="http://www.w3.org/2000/svg">${head}\n${symbols.join("\n")}\n</svg>\n`);
  copyFileSync(join(modules, "lucide-static", "LICENSE"), join(vendor, "LICENSE.lucide-static.txt"));
}

function buildStyles() {
  execFileSync(join(modules, ".bin", "tailwindcss"), ["--minify", "-i", "css/console.css", "-o", join(out, "console.css")], {
    cwd: here,
    stdio: "inherit",
  });
}

// A test compares these, so that a change of a source without a build is seen where there is no Node.
function noteSources() {
  const styles = readdirSync(join(here, "css")).map((name) => join("css", name));
  const sources = [...styles, "build.mjs", "icons.txt", "package-lock.json"].sort();
  const built = ["console.css", "icons.svg"].map((name) => [name, sha256(join(out, name))]);
  const notes = {
    sources: Object.fromEntries(sources.map((path) => [path, sha256(join(here, path))])),
    built: Object.fromEntries(built),
  };
  writeFileSync(join(here, "built.json"), JSON.stringify(notes, null, 2) + "\n");
}

mkdirSync(vendor, { recursive: true });
vendorFiles();
buildIcons();
buildStyles();
noteSources();
console.log(`built ${relative(process.cwd(), out)}`);
