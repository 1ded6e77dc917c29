// The queue of files to add: one PUT for each, a few at a time. It goes on while other views are shown.

import {
  announce, api, ApiError, collectionPath, createStore, ErrorNote, formatBytes, formatCount, formatNumber, html, Link,
  reloadCollections, useStore, viewUrl,
} from "./app.js";
import { isHidden, makeUri } from "./dropped_files.js";

const MAX_REQUESTS = 3;
const MAX_SHOWN = 100;
const UNSUPPORTED = 415; // no text in the file, or no reader for it: sending it again does not help
const IS_DONE = new Set(["added", "updated", "unchanged", "refused", "failed"]);
const NO_UPLOADS = { items: [], hiddenCount: 0, error: null, stored: 0 };

const LABELS = {
  waiting: ["", "waiting"], sending: ["info", "sending"], added: ["good", "added"], updated: ["good", "updated"],
  unchanged: ["good", "unchanged"], refused: ["warn", "not added"], failed: ["bad", "failed"],
};
const ORDER = ["failed", "sending", "waiting", "refused", "updated", "added", "unchanged"];

const store = createStore(NO_UPLOADS);
let nextId = 1, runningCount = 0;

/** Return the state of the queue; `stored` grows with each change of a document. */
export const useUploads = () => useStore(store);

const update = (changes = {}) => store.set({ ...store.get(), ...changes });
const countUnfinished = () => store.get().items.filter(({ state }) => !IS_DONE.has(state)).length;

window.addEventListener("beforeunload", (event) => { if (countUnfinished()) event.preventDefault(); });

/** Queue files for a collection: `found` has {file, path}, `folder` is put in front of their paths. */
export function addFiles(collection, folder, found) {
  const chosen = found.filter(({ path }) => !isHidden(path));
  const added = chosen.map(({ file, path }) =>
    ({ id: nextId++, collection, file, uri: makeUri(folder, path), state: "waiting", detail: "", chunks: 0 }));
  const replaced = new Set(added.map(({ uri }) => `${collection}/${uri}`));
  const kept = store.get().items.filter((item) => item.state === "sending" || !replaced.has(`${item.collection}/${item.uri}`));
  update({ items: [...kept, ...added], hiddenCount: found.length - chosen.length, error: null });
  announce(`${formatCount(added.length, "file")} to add`);
  startRequests();
}

function startRequests() {
  while (runningCount < MAX_REQUESTS && !store.get().error) {
    const item = store.get().items.find(({ state }) => state === "waiting");
    if (!item) return;
    runningCount += 1;
    send(item).finally(() => {
      runningCount -= 1;
      startRequests();
      if (!runningCount && !store.get().error) finish();
    });
  }
}

function finish() {
  const failed = store.get().items.filter(({ state }) => state === "failed" || state === "refused").length;
  announce(failed ? `All files are sent; ${formatNumber(failed)} were not added` : "All files are sent");
  reloadCollections();
}

async function send(item) {
  change(item, { state: "sending", detail: "" });
  try {
    const { status, chunks } = await put(item);
    change(item, { state: status, chunks });
    if (status !== "unchanged") update({ stored: store.get().stored + 1 });
  } catch (error) {
    if (error.status === 0 && !await isServerReachable()) {
      change(item, { state: "waiting" });
      update({ error });
    } else {
      change(item, { state: error.status === UNSUPPORTED ? "refused" : "failed", detail: explain(error) });
    }
  }
}

function change(item, changes) {
  Object.assign(item, changes);
  update();
}

/** Send one file. The server recognises its format by the name, as it does on a disk; browsers know fewer formats. */
async function put({ collection, file, uri }) {
  await checkReadable(file);
  const headers = { "Content-Type": "application/octet-stream" };
  return api.put(collectionPath(collection, "documents", uri), file, { headers });
}

async function checkReadable(file) {
  try {
    await file.slice(0, 1).arrayBuffer();
  } catch {
    throw new ApiError({ status: 400, detail: "The browser cannot read this file. It was moved, deleted or changed; choose it again." });
  }
}

const isServerReachable = () => fetch("/healthz").then(({ ok }) => ok, () => false);

function explain({ status, detail, retryAfter }) {
  if (status === 0) return "The server closed the connection while the file was sent. The file may be larger than the server accepts.";
  return retryAfter ? `${detail} (again in ${formatCount(retryAfter, "second")})` : detail;
}

function retry(items) {
  items.forEach((item) => Object.assign(item, { state: "waiting", detail: "" }));
  update({ error: null });
  startRequests();
}

function clearFinished() {
  update({ items: store.get().items.filter(({ state }) => !IS_DONE.has(state)), hiddenCount: 0 });
}

function cancelWaiting() {
  update({ items: store.get().items.filter(({ state }) => state !== "waiting"), error: null });
}

/** The files of the queue with their states, those that need attention first. Nothing while it is empty. */
export function UploadQueue() {
  const { items, hiddenCount, error } = useUploads();
  if (!items.length && !hiddenCount) return null;
  const shown = ORDER.flatMap((state) => items.filter((item) => item.state === state)).slice(0, MAX_SHOWN);
  return html`<section class="card stack tight" aria-labelledby="uploads-title">
    <div class="row spread"><h2 id="uploads-title">Files to add</h2><${QueueActions} items=${items} /></div>
    <${QueueSummary} items=${items} hiddenCount=${hiddenCount} />
    ${error && html`<${ErrorNote} error=${error} onRetry=${() => retry([])} />`}
    <ul class="uploads" tabindex="0" aria-labelledby="uploads-title">${shown.map((item) => html`<li key=${item.id}><${Upload} item=${item} ...${item} /></li>`)}</ul>
    ${items.length > shown.length && html`<p class="muted small-text">And ${formatNumber(items.length - shown.length)} more.</p>`}
  </section>`;
}

function QueueSummary({ items, hiddenCount }) {
  const counts = ORDER.map((state) => [LABELS[state][1], items.filter((item) => item.state === state).length]);
  const done = items.filter(({ state }) => IS_DONE.has(state)).length;
  const parts = counts.filter(([, count]) => count).map(([label, count]) => `${formatNumber(count)} ${label}`);
  return html`<div class="bar" aria-hidden="true"><div style=${{ width: `${(100 * done) / Math.max(1, items.length)}%` }}></div></div>
    <p class="muted small-text">${formatNumber(done)} of ${formatCount(items.length, "file")} done${parts.length ? `: ${parts.join(", ")}` : ""}.
      ${" "}${hiddenCount > 0 && `${formatCount(hiddenCount, "hidden or generated item")} left out.`}</p>`;
}

function QueueActions({ items }) {
  const has = (wanted) => items.some(({ state }) => wanted(state));
  const failed = items.filter(({ state }) => state === "failed");
  return html`<div class="row">
    ${failed.length > 1 && html`<button class="button small" onClick=${() => retry(failed)}>Retry failed</button>`}
    ${has((state) => state === "waiting") && html`<button class="button small" onClick=${cancelWaiting}>Cancel waiting</button>`}
    ${has((state) => IS_DONE.has(state)) && html`<button class="button small" onClick=${clearFinished}>Clear finished</button>`}
  </div>`;
}

function Upload({ item, uri, collection, file, state, detail, chunks }) {
  const [kind, label] = LABELS[state];
  const isStored = ["added", "updated", "unchanged"].includes(state);
  return html`<div class="upload"><span class=${`badge ${kind}`}>${label}</span>
    <div class="grow"><p>${isStored ? html`<${Link} href=${viewUrl(collection, uri)}>${uri}<//>` : uri}</p>
      <p class="meta"><span>${formatBytes(file.size)}</span>${isStored && html`<span>${formatCount(chunks, "chunk")}</span>`}
        <span>in ${collection}</span></p>
      ${detail && html`<p class="small-text">${detail}</p>`}</div>
    ${state === "failed" && html`<button class="button small" aria-label=${`Retry ${uri}`} onClick=${() => retry([item])}>Retry</button>`}
  </div>`;
}
