// The files that a user chose or dropped, folders included, as {file, path}. Knows no collection and sends nothing.

const SKIPPED_FOLDERS = new Set(["node_modules", "bower_components", "jspm_packages", "__pycache__", "__pypackages__", "__MACOSX", "_darcs", "CVS"]);

/** Return the files of an input element; those of a folder have their path below it, with the folder's name. */
export const listChosen = (input) =>
  [...input.files].map((file) => ({ file, path: file.webkitRelativePath || file.name }));

/** Return the files of a drop. It must be called in the handler of the event: the items are gone after it. */
export async function listDropped(transfer) {
  const items = [...transfer.items].filter(({ kind }) => kind === "file");
  const entries = items.map((item) => item.webkitGetAsEntry?.() ?? item.getAsFile()).filter(Boolean);
  return (await Promise.all(entries.map((entry) => listEntry(entry, "")))).flat();
}

async function listEntry(entry, folder) {
  const path = folder + entry.name;
  if (entry instanceof File) return [{ file: entry, path }];
  if (entry.isFile) return [{ file: await new Promise((resolve, reject) => entry.file(resolve, reject)), path }];
  if (isHidden(`${path}/`)) return [{ file: null, path: `${path}/` }];
  const reader = entry.createReader();
  const found = [];
  for (;;) { // one call returns only some of the entries
    const batch = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!batch.length) return found;
    for (const child of batch) found.push(...await listEntry(child, `${path}/`));
  }
}

/** Return whether a path leads through a hidden or generated folder, or to a hidden file in a folder, as `ingest` does. */
export function isHidden(path) {
  const parts = path.split("/");
  const folders = parts.slice(0, -1);
  const isBelowFolder = folders.length > 0;
  return folders.some((name) => name.startsWith(".") || SKIPPED_FOLDERS.has(name))
    || (isBelowFolder && parts.at(-1).startsWith("."));
}

/** Return the uri of a file, written like those of `semsearch ingest`: `%` and what is not printable is encoded. */
export const makeUri = (folder, path) => [...folder.split("/").map((part) => part.trim()), ...path.split("/")]
  .filter(Boolean).map((part) => part.replace(/%|(?! )[\p{C}\p{Z}]/gu, encodeBytes)).join("/");

const encodeBytes = (character) =>
  [...new TextEncoder().encode(character)].map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`).join("");
