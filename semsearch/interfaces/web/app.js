// The shell of the page: router, API client, the caller, shared components, and the search view. Other views are imported when
// they are first opened, so that the first view takes five requests. Texts from outside become text nodes only.

import {
  Component, html, render, useCallback, useEffect, useErrorBoundary, useLayoutEffect, useMemo, useRef, useState,
} from "./vendor/htm-preact-standalone.js";

export { Component, html, render, useCallback, useEffect, useErrorBoundary, useLayoutEffect, useMemo, useRef, useState };

// ---------------------------------------------------------------------------------------------------- API client

/** A problem of the API, or a failure of the network. `detail` is shown as it is. */
export class ApiError extends Error {
  constructor({ status = 0, type = "about:blank", title = "The request failed", detail = "", retryAfter = null }) {
    super(detail || title);
    Object.assign(this, { name: "ApiError", status, type, title, detail: detail || title, retryAfter });
  }
}

/** Return whether a rejection is that of an aborted request, which nobody waits for. */
export const isAborted = (error) => error?.name === "AbortError";

/** Return the path of a collection: collectionPath("hb", "documents", "a/b.md") is /v1/collections/hb/documents/a%2Fb.md */
export const collectionPath = (...parts) => ["/v1/collections", ...parts.map(encodeURIComponent)].join("/");

/** Requests take a whole path (`/v1/...`). They resolve to the JSON, the blob of an image, the text of other media types,
    or null. One that needs an access key waits until the user has signed in, and is then sent again. */
export const api = {
  get: (path, { signal, query } = {}) => request("GET", path, { signal, query }),
  post: (path, body, { signal } = {}) => request("POST", path, { signal, ...asJson(body) }),
  put: (path, blob, { headers, query, signal } = {}) => request("PUT", path, { body: blob, headers, query, signal }),
  del: (path, { signal } = {}) => request("DELETE", path, { signal }),
  open: (path, { signal } = {}) => send("GET", path, { signal }), // the response itself
  stream,
};

const asJson = (body) => ({ body: JSON.stringify(body), headers: { "Content-Type": "application/json" } });

async function request(method, path, options) {
  const response = await send(method, path, options);
  if (response.status === 204) return null;
  const type = response.headers.get("Content-Type") ?? "";
  const isJson = type.startsWith("application/json"), isImage = type.startsWith("image/");
  return orNetworkError(isJson ? response.json() : isImage ? response.blob() : response.text());
}

async function send(method, path, options = {}) {
  for (;;) {
    const before = signInCount;
    try {
      return await sendOnce(method, path, options);
    } catch (error) {
      if (error.status !== UNAUTHORIZED) throw error;
    }
    if (before === signInCount) await waitForSignIn(options.signal); // else the user has signed in meanwhile
  }
}

/** Send a request; reject with an ApiError, also where an access key is needed. */
export async function sendOnce(method, path, { body, headers, query, signal } = {}) {
  const entries = Object.entries(query ?? {}).filter(([, value]) => value !== null && value !== undefined);
  const search = entries.length ? `?${new URLSearchParams(entries)}` : "";
  const response = await orNetworkError(fetch(path + search, { method, body, headers, signal }));
  if (!response.ok) throw await readProblem(response);
  return response;
}

async function orNetworkError(promise) {
  try {
    return await promise;
  } catch (error) {
    if (isAborted(error)) throw error;
    const detail = "The server cannot be reached. Check that semsearch serve is running, then try again.";
    throw new ApiError({ title: "No connection", detail });
  }
}

/** Leave out remedies that name a route of the API: who reads the page cannot call it. */
const dropRoutes = (detail) => detail.split("; ").filter((part) => !/\b(GET|PUT|POST|DELETE) \//.test(part)).join("; ");

async function readProblem(response) {
  const problem = await response.json().catch(() => ({}));
  const detail = dropRoutes(problem.detail ?? "") || `The server answered with status ${response.status}. Try again later.`;
  const retryAfter = Number(response.headers.get("Retry-After")) || null;
  return new ApiError({ ...problem, status: response.status, detail, retryAfter });
}

/** POST a body and call `onEvent(name, data)` for each server-sent event; the data of `error` is an ApiError.
    Resolves after `answer` or `error`; rejects with an ApiError if the stream ends before one of them. */
async function stream(path, body, onEvent, { signal } = {}) {
  const response = await send("POST", path, { signal, ...asJson(body) });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let buffer = "", isComplete = false;
  for (;;) {
    const { value, done } = await orStreamError(reader.read());
    if (done) break;
    const blocks = (buffer + value).split("\n\n");
    buffer = blocks.pop();
    for (const block of blocks) {
      const event = parseEvent(block);
      if (!event) continue;
      isComplete ||= event.name === "answer" || event.name === "error";
      onEvent(event.name, event.name === "error" ? new ApiError(event.data) : event.data);
    }
  }
  if (!isComplete) throw brokenStreamError();
}

function parseEvent(block) {
  const lines = block.split("\n");
  const read = (field) => lines.filter((line) => line.startsWith(`${field}: `)).map((line) => line.slice(field.length + 2));
  const data = read("data");
  return data.length ? { name: read("event")[0] ?? "message", data: JSON.parse(data.join("\n")) } : null;
}

const brokenStreamError = () => new ApiError({
  title: "The answer is incomplete", detail: "The connection ended before the answer was complete. Ask again.",
});

async function orStreamError(promise) {
  try {
    return await promise;
  } catch (error) {
    throw isAborted(error) ? error : brokenStreamError();
  }
}

// ---------------------------------------------------------------------------------------------- Stores and router

export function createStore(value) {
  const listeners = new Set();
  return {
    get: () => value,
    set: (next) => { value = next; listeners.forEach((listener) => listener()); },
    subscribe: (listener) => { listeners.add(listener); return () => listeners.delete(listener); },
  };
}

export function useStore(store) {
  const [, update] = useState(0);
  useLayoutEffect(() => store.subscribe(() => update((count) => count + 1)), []); // before any change: effects come later
  return store.get();
}

const readLocation = () => ({
  path: window.location.pathname, params: Object.fromEntries(new URLSearchParams(window.location.search)),
});
const locationStore = createStore(readLocation());
window.addEventListener("popstate", () => locationStore.set(readLocation()));

/** Go to an address of the page, or, with an object, change these URL parameters (null removes one). */
export function navigate(target, { replace = false } = {}) {
  const url = typeof target === "string" ? target : withParams(target);
  if (url === window.location.pathname + window.location.search) return;
  history[replace ? "replaceState" : "pushState"](null, "", url);
  locationStore.set(readLocation());
}

function withParams(changes) {
  const params = new URLSearchParams(window.location.search);
  for (const [name, value] of Object.entries(changes)) {
    if (value === null || value === undefined || value === "") params.delete(name);
    else params.set(name, String(value));
  }
  return window.location.pathname + (params.size ? `?${params}` : "");
}

/** Return the path, the URL parameters as an object of strings, and `navigate`. */
export const useLocation = () => ({ ...useStore(locationStore), navigate });

/** A link to an address of the page, opened in place, by `onOpen` if it is given; with a modifier key the browser opens
    it as usual. */
export function Link({ href, children, onOpen = () => navigate(href), ...attributes }) {
  const open = (event) => {
    if (event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    onOpen();
  };
  return html`<a href=${href} onClick=${open} ...${attributes}>${children}</a>`;
}

/** Return the address of a document at a passage; offsets are in characters of its stored text. */
export function viewUrl(collection, uri, start, end) {
  const range = start === undefined || start === null ? "" : `?start=${start}&end=${end}`;
  return `/view/${encodeURIComponent(collection)}/${encodeURIComponent(uri)}${range}`;
}

/** Return {collection, uri} of an address of a document, else null. */
export function parseViewPath(path) {
  const match = /^\/view\/([^/]+)\/([^/]+)$/.exec(path);
  try {
    return match && { collection: decodeURIComponent(match[1]), uri: decodeURIComponent(match[2]) };
  } catch {
    return null;
  }
}

// --------------------------------------------------------------------------------------------------------- Access

const UNAUTHORIZED = 401, FORBIDDEN = 403;
const LOCAL_OWNER = "local"; // of every request while there is no access key
const accessStore = createStore({ caller: null, isSignInNeeded: false });
let signInCount = 0, waitingRequests = [];

function waitForSignIn(signal) {
  accessStore.set({ ...accessStore.get(), isSignInNeeded: true });
  return new Promise((resolve, reject) => {
    waitingRequests.push(resolve);
    signal?.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}

/** Go on as this caller, as GET /v1/me returns it, and send the waiting requests again. */
export function completeSignIn(caller) {
  const isFirst = accessStore.get().caller === null;
  if (!setCaller(caller)) return;
  accessStore.set({ caller, isSignInNeeded: false });
  signInCount += 1;
  const resolves = waitingRequests;
  waitingRequests = [];
  resolves.forEach((resolve) => resolve());
  if (!isFirst) reloadCollections(); // the first request of the page is one that waits
}

/** Keep who the caller is; return whether the page goes on. For another owner it begins anew, so that nothing that the
    one before has read or typed is shown. */
function setCaller(caller) {
  const state = accessStore.get();
  if (state.caller && state.caller.owner !== caller.owner) {
    window.location.replace(window.location.pathname); // without the question in the address
    return false;
  }
  accessStore.set({ ...state, caller });
  return true;
}

async function signOut() {
  await sendOnce("DELETE", "/v1/sign-in");
  window.location.assign("/"); // a new document: nothing that was read stays in memory
}
window.addEventListener("pageshow", ({ persisted }) => { if (persisted) window.location.reload(); }); // back, after signing out

/** Return the caller (null while it is not known), whether an access key or a proxy has identified them, and `can(scope)`. */
export function useCaller() {
  const { caller } = useStore(accessStore);
  const isIdentified = caller !== null && (caller.key !== null || caller.signed_in || caller.owner !== LOCAL_OWNER);
  return { caller, isIdentified, can: (scope) => caller === null || caller.scopes.includes(scope) };
}

const SCOPE_USES = {
  search: "Searching and reading documents", ask: "Asking questions", write: "Adding and deleting documents",
  admin: "Managing collections and access keys",
};

/** Return why a view lacks something: "Asking questions needs the scope ask." */
export const explainScope = (scope, use = SCOPE_USES[scope]) => `${use} needs the scope ${scope}.`;

/** The children, or why the caller may not use them; `use` says what for, if not what the scope is mostly for. */
export function NeedsScope({ scope, use, children }) {
  const { can } = useCaller();
  if (can(scope)) return children;
  return html`<div class="note empty stack tight"><h2>You are not allowed to do this</h2>
    <p>${explainScope(scope, use)} Ask the operator of this service for it, or sign in with another key.</p></div>`;
}

// ----------------------------------------------------------------------------------------------------- Collections

const collectionsStore = createStore({ collections: [], isLoading: true, error: null });

export async function reloadCollections() {
  collectionsStore.set({ ...collectionsStore.get(), isLoading: true, error: null });
  try {
    const { collections, caller } = await readCollections();
    if (setCaller(caller)) collectionsStore.set({ collections, isLoading: false, error: null });
  } catch (error) {
    collectionsStore.set({ collections: [], isLoading: false, error });
  }
}

/** Return the collections and the caller. Who may not list them knows those of their key by name, without sizes. */
async function readCollections() {
  try {
    return await api.get("/v1/collections");
  } catch (error) {
    if (error.status !== FORBIDDEN) throw error;
  }
  const caller = await api.get("/v1/me");
  const names = caller.collections ?? ["default"];
  return { caller, collections: names.map((name) => ({ name, documents: null, chunks: null, embedder: null })) };
}

/** Return the collections, the name of the chosen one (null while none is known), and how to choose and reload. */
export function useCollections() {
  const { path, params } = useLocation();
  const state = useStore(collectionsStore);
  const names = state.collections.map(({ name }) => name);
  const chosen = parseViewPath(path)?.collection ?? params.collection;
  const current = chosen ?? (names.includes("default") ? "default" : names[0]) ?? null;
  const choose = (name) => {
    if (parseViewPath(path)) navigate(`/?collection=${encodeURIComponent(name)}`);
    else navigate({ collection: name, filter: null, n: null, session: null, answer: null });
  };
  return { ...state, current, choose, reload: reloadCollections };
}

// ------------------------------------------------------------------------------------------- Texts and components

const numberFormat = new Intl.NumberFormat("en");
export const formatNumber = (value) => numberFormat.format(value);

/** Return "1 result" or "12 results". */
export const formatCount = (count, noun) => `${formatNumber(count)} ${noun}${count === 1 ? "" : "s"}`;

/** Return a price; small ones have two significant digits, and null is an unknown price. */
export function formatUsd(value) {
  if (value === null || value === undefined) return "unknown";
  return value > 0 && value < 0.01 ? `$${Number(value.toPrecision(2))}` : `$${value.toFixed(2)}`;
}

/** Return a size in decimal units: 1.5 MB. */
export function formatBytes(bytes) {
  const power = Math.min(3, Math.max(0, Math.floor(Math.log10(Math.max(1, bytes)) / 3)));
  const size = bytes / 1000 ** power;
  return `${power && size < 10 ? size.toFixed(1) : Math.round(size)} ${["bytes", "kB", "MB", "GB"][power]}`;
}

/** Tell users of screen readers, without moving the focus. */
export function announce(text) {
  const region = document.getElementById("announcer");
  region.textContent = "";
  clearTimeout(announce.timer);
  announce.timer = setTimeout(() => { region.textContent = text; }, 100); // a repeated text is announced again
}

const SURROGATE = /[\ud800-\udfff]/;

/** Return the function from offsets in Unicode characters of a text, as the API has them, to those of JavaScript. */
export function makeUnitIndex(text) {
  if (!SURROGATE.test(text)) return (index) => Math.min(Math.max(index, 0), text.length);
  const starts = [0];
  for (const character of text) starts.push(starts.at(-1) + character.length);
  return (index) => starts[Math.min(Math.max(index, 0), starts.length - 1)];
}

/** A text with marks: `kind` is match, best or cited. Offsets are in Unicode characters; `offset` is that of the text. */
export const Passage = (props) => html`<div class="passage"><${MarkedText} ...${props} /></div>`;

/** Like `Passage`, without a box of its own. */
export function MarkedText({ text, marks = [], offset = 0 }) {
  const toUnit = makeUnitIndex(text);
  const spans = marks.map(({ start, end, kind }) => ({ kind, start: toUnit(start - offset), end: toUnit(end - offset) }));
  const matches = spans.filter(({ kind }) => kind === "match");
  const areas = spans.filter(({ kind }) => kind !== "match");
  const markMatches = (from, to) => split(matches, from, to).map(([start, end, kinds]) =>
    kinds ? html`<span class="match">${text.slice(start, end)}</span>` : text.slice(start, end));
  return split(areas, 0, text.length).map(([from, to, kinds]) =>
    kinds ? html`<mark class=${kinds}>${markMatches(from, to)}</mark>` : markMatches(from, to));
}

/** Return [start, end, kinds] for each part between the borders of spans; `kinds` is empty outside of them. */
function split(spans, from, to) {
  const inside = spans.filter((span) => span.start < span.end && span.start < to && span.end > from);
  const borders = new Set([from, to, ...inside.flatMap(({ start, end }) => [Math.max(from, start), Math.min(to, end)])]);
  const sorted = [...borders].sort((a, b) => a - b);
  return sorted.slice(1).map((end, index) => {
    const start = sorted[index];
    const kinds = inside.filter((span) => span.start <= start && span.end >= end).map(({ kind }) => kind);
    return [start, end, [...new Set(kinds)].join(" ")];
  });
}

export function ErrorNote({ error, onRetry }) {
  return html`<div class="note error stack tight" role="alert">
    <p><strong>${error.title ?? "Something went wrong"}</strong></p>
    <p>${error.detail ?? error.message}</p>
    ${error.retryAfter && html`<p class="muted">Try again in ${formatCount(error.retryAfter, "second")}.</p>`}
    ${onRetry && html`<div><button class="button" onClick=${() => onRetry()}>Try again</button></div>`}
  </div>`;
}

export const Spinner = ({ label = "Loading" }) => html`<span class="spinner" role="status">${label}…</span>`;

/** A small label; with `onRemove` a button that removes it, with `onClick` one that acts on it. */
export function Chip({ label, onRemove, onClick, title, pressed }) {
  if (onRemove) {
    return html`<button class="chip active" onClick=${onRemove} aria-label=${`Remove ${label}`} title=${title}>
      <span>${label}</span><span class="remove" aria-hidden="true">×</span></button>`;
  }
  if (!onClick) return html`<span class="chip" title=${title}>${label}</span>`;
  return html`<button class=${pressed ? "chip active" : "chip"} onClick=${onClick} aria-pressed=${pressed} title=${title}>
    ${label}</button>`;
}

/** A modal dialog, open while it is rendered. Escape calls `onClose`; the focus returns to where it was. */
export function Dialog({ title, onClose, children }) {
  const dialog = useRef(null);
  useEffect(() => {
    const opener = document.activeElement;
    const element = dialog.current;
    element.showModal();
    return () => { element.close(); opener?.focus?.(); };
  }, []);
  const cancel = (event) => { event.preventDefault(); onClose(); };
  return html`<dialog ref=${dialog} aria-labelledby="dialog-title" onCancel=${cancel}>
    <div class="stack"><h2 id="dialog-title">${title}</h2>${children}</div>
  </dialog>`;
}

/** What to do while there is no collection, or the reason why none is known; else the children. */
export function NeedsCollection({ children }) {
  const { collections, current, error, isLoading, reload } = useCollections();
  const { can } = useCaller();
  if (error) return html`<${ErrorNote} error=${error} onRetry=${reload} />`;
  if (!collections.length && isLoading) return html`<${Spinner} />`;
  if (current) return children;
  if (!can("write")) return html`<div class="note empty"><p>There is no collection that you may read.</p></div>`;
  return html`<div class="note empty stack">
    <h2>There are no documents yet</h2>
    <p>Add a folder at a shell, and reload this page:</p>
    <pre>semsearch ingest FOLDER${"\n"}semsearch serve</pre>
    <p>Or add files here: <${Link} href="/documents">Documents<//>.</p>
  </div>`;
}

/** Return whether the window is wide enough for a panel beside the main content. */
export function useIsWide() {
  const query = useMemo(() => window.matchMedia("(min-width: 901px)"), []);
  const [isWide, setIsWide] = useState(query.matches);
  useEffect(() => {
    const update = () => setIsWide(query.matches);
    query.addEventListener("change", update);
    return () => query.removeEventListener("change", update);
  }, []);
  return isWide;
}

/** The panel with a document at a passage (see source.js), whose module is imported when it is first shown. */
export const SourcePanel = (props) => html`<${LazyView} route=${SOURCE_PANEL} ...${props} />`;

// ---------------------------------------------------------------------------------------------------- Search view

const PAGE_HITS = 10;
const MAX_HITS_PER_REQUEST = 100;
const MAX_RANKED_HITS = 1000;
const DEBOUNCE_MS = 150;
const SETTLED_MS = 2000;
const MODES = [["hybrid", "Hybrid"], ["dense", "By meaning"], ["lexical", "By words"]];
const FIELD_LABELS = new Map([["media_type", "File type"], ["uri", "Name"], ["title", "Title"]]);
const UNCOUNTED_FIELDS = new Set(["uri", "title"]); // the API has no facets of them
const OPERATORS = new Map([["$eq", "="], ["$ne", "≠"], ["$gt", ">"], ["$gte", "≥"], ["$lt", "<"], ["$lte", "≤"], ["$in", "one of"],
  ["$nin", "none of"], ["$exists", "exists:"]]);
const NO_RESULTS = { collection: null, hits: [], facets: {}, error: null, isLoading: false, hasMore: false };

const STOP_WORDS = new Set(("a an and are as at be by can do does for from has have how i if in into is it its may of on or" +
  " that the their there this to was what when where which who why will with").split(" "));
const WORD = /[\p{L}\p{N}\p{M}]+/gu;
const UNSPACED = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}]/u;

/** Return marks of the words of a query in a text, and of their inflections, which are guessed from a common beginning. */
export function findMatches(text, query, offset = 0) {
  const words = fold(query).match(WORD) ?? [];
  const telling = words.filter((word) => !STOP_WORDS.has(word));
  const terms = telling.length ? telling : words;
  const toPoint = SURROGATE.test(text) ? (unit) => [...text.slice(0, unit)].length : (unit) => unit;
  const spans = [...text.matchAll(WORD)].flatMap(({ 0: word, index }) =>
    findInWord(word, terms).map(([start, end]) => [index + start, index + end]));
  return spans.map(([start, end]) => ({ start: offset + toPoint(start), end: offset + toPoint(end), kind: "match" }));
}

const fold = (text) => text.normalize("NFC").toLowerCase();

function findInWord(word, terms) {
  const folded = fold(word);
  if (!UNSPACED.test(folded)) return terms.some((term) => isSameWord(folded, term)) ? [[0, word.length]] : [];
  const pairs = terms.flatMap((term) => (term.length < 2 ? [term] : [...term].slice(1).map((c, i) => term[i] + c)));
  return pairs.flatMap((pair) => (folded.includes(pair) ? [[folded.indexOf(pair), folded.indexOf(pair) + pair.length]] : []));
}

/** Return whether two words differ only in their last letters; numbers must be equal. */
function isSameWord(first, second) {
  if (first === second) return true;
  if (/\p{N}/u.test(first + second)) return false;
  const [short, long] = first.length < second.length ? [first, second] : [second, first];
  let common = 0;
  while (common < short.length && short[common] === long[common]) common += 1;
  return common >= 4 ? common >= short.length - 1 && long.length - common <= 3
    : common === 3 && short.length === 3 && long.length === 4 && long.endsWith("s");
}

/** Return the conditions of the URL's filter: {field, value} for a value, {field, condition} for anything else; null if the
    filter is not a JSON object. */
function parseFilter(text) {
  try {
    const filter = JSON.parse(text || "{}");
    if (typeof filter !== "object" || filter === null || Array.isArray(filter)) return null;
    return Object.entries(filter).flatMap(([field, condition]) => {
      if (typeof condition !== "object" || condition === null) return [{ field, value: condition }];
      const isChoice = Array.isArray(condition.$in) && Object.keys(condition).length === 1;
      return isChoice ? condition.$in.map((value) => ({ field, value })) : [{ field, condition }];
    });
  } catch {
    return null;
  }
}

/** Return whether a filter of the URL can be sent; a link may have lost a part. */
export const isFilterValid = (text) => parseFilter(text) !== null;

/** What to do about a filter of the URL that cannot be sent: without it, other documents would match. */
export function FilterNote() {
  const { params } = useLocation();
  if (isFilterValid(params.filter)) return null;
  return html`<div class="note warn stack tight" role="alert"><p><strong>The filter of this link is not valid</strong></p>
    <p>Nothing is sent, because other documents would match without it.</p>
    <div><button class="button" onClick=${() => navigate({ filter: null, n: null })}>Remove the filter</button></div></div>`;
}

/** Return the filter of conditions: values of one field are alternatives, fields are joined by "and". */
function buildFilter(conditions) {
  const filter = Object.create(null); // a field may have any name, also __proto__
  for (const { field } of conditions) {
    const own = conditions.filter((condition) => condition.field === field);
    const values = own.filter((condition) => "value" in condition).map(({ value }) => value);
    filter[field] = own.find(({ condition }) => condition)?.condition ?? (values.length > 1 ? { $in: values } : values[0]);
  }
  return filter;
}

const TYPE_LABELS = new Map(Object.entries({
  "text/markdown": "Markdown", "text/plain": "Text", "text/html": "HTML", "text/csv": "CSV", "application/pdf": "PDF",
  "application/json": "JSON", "text/x-python": "Python", "message/rfc822": "E-mail", "application/epub+zip": "EPUB",
  "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "Word",
  "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "Excel",
  "application/vnd.openxmlformats-officedocument.presentationml.presentation": "PowerPoint",
  "application/vnd.oasis.opendocument.text": "OpenDocument text",
  "application/vnd.oasis.opendocument.spreadsheet": "OpenDocument sheet",
  "application/vnd.oasis.opendocument.presentation": "OpenDocument slides",
}));

/** Return a short name of a media type: "Markdown", and "yaml" for application/x-yaml. */
export function labelType(mediaType) {
  const type = mediaType.split(";")[0].trim();
  return TYPE_LABELS.get(type) ?? type.split("/").at(-1).replace(/^x-/, "");
}

const labelValue = (field, value) => field === "media_type" ? labelType(String(value)) : String(value);
const labelField = (field) => FIELD_LABELS.get(field) ?? field;

/** Return "team: hr", or "year ≥ 2024" for operators; conditions that have no short form are shown as JSON. */
function labelCondition({ field, value, condition }) {
  if (!condition) return `${labelField(field)}: ${labelValue(field, value)}`;
  const parts = Object.entries(condition).map(([name, operand]) => OPERATORS.has(name)
    ? `${OPERATORS.get(name)} ${[operand].flat().map(String).join(", ")}` : null);
  return parts.includes(null) ? `${field}: ${JSON.stringify(condition)}` : `${labelField(field)} ${parts.join(", ")}`;
}

function useFilter() {
  const { params } = useLocation();
  const conditions = useMemo(() => parseFilter(params.filter) ?? [], [params.filter]);
  const isActive = (field, value) => conditions.some((item) => item.field === field && item.value === value);
  const apply = (next) => navigate({ filter: next.length ? JSON.stringify(buildFilter(next)) : null, n: null });
  const toggle = (field, value) => apply(isActive(field, value)
    ? conditions.filter((item) => item.field !== field || item.value !== value) : [...conditions, { field, value }]);
  return { conditions, isActive, toggle, apply };
}

/** Run the search of the URL; a newer one aborts it. Results of another collection are never returned. */
function useSearch(collection) {
  const { params } = useLocation();
  const [latest, setLatest] = useState(NO_RESULTS);
  const belongsHere = (state) => (state.collection === collection ? state : { ...NO_RESULTS, collection, isLoading: true });
  const state = belongsHere(latest);
  const setState = (change) => setLatest((previous) => change(belongsHere(previous)));
  const [attempt, setAttempt] = useState(0);
  const controller = useRef(null);
  const body = makeSearchBody(params);
  const isValid = isFilterValid(params.filter);
  const key = JSON.stringify([collection, body, isValid, attempt]);

  const run = async (offset, k) => {
    const { signal } = controller.current;
    setState((previous) => ({ ...previous, isLoading: true, error: null }));
    try {
      const reply = await api.post(collectionPath(collection, "search"), { ...body, k, ...(offset && { offset }) }, { signal });
      setState((previous) => addReply(previous, reply, offset, k));
      return offset + reply.hits.length;
    } catch (error) {
      if (!isAborted(error)) setState((previous) => ({ ...previous, error, isLoading: false }));
      return null;
    }
  };
  useEffect(() => {
    controller.current = new AbortController();
    const shown = Math.max(1, Math.min(Number.parseInt(params.n, 10) || PAGE_HITS, MAX_HITS_PER_REQUEST));
    if (collection && body.query && isValid) run(0, shown).then((count) => count !== null && announce(formatCount(count, "result")));
    else setState(() => ({ ...NO_RESULTS, collection }));
    return () => controller.current.abort();
  }, [key]);

  const loadMore = async () => {
    const count = await run(state.hits.length, PAGE_HITS);
    if (count !== null) {
      navigate({ n: count }, { replace: true });
      announce(formatCount(count, "result"));
    }
  };
  return { ...state, loadMore, retry: () => setAttempt(attempt + 1) };
}

function makeSearchBody({ q, mode, filter, explain }) {
  const conditions = buildFilter(parseFilter(filter) ?? []);
  return {
    query: (q ?? "").trim(),
    ...(Object.keys(conditions).length && { filter: conditions }),
    ...(MODES.some(([name]) => name === mode) && mode !== "hybrid" && { mode }),
    ...(explain === "1" && { explain: true }),
    facets: [], // the server chooses the fields
  };
}

function addReply(previous, { hits, facets }, offset, k) {
  const all = offset ? [...previous.hits, ...hits] : hits;
  const hasMore = hits.length === k && all.length + PAGE_HITS <= MAX_RANKED_HITS;
  return { ...previous, hits: all, facets: facets ?? {}, error: null, isLoading: false, hasMore };
}

/** Return the values of each field that the filter has a value of, counted without its own condition: the alternatives.
    The counts are those of the documents that match a filter, so the query is not embedded for them. */
function useAlternatives(collection, query, filter) {
  const [state, setState] = useState({ key: null, facets: {} });
  const key = JSON.stringify([collection, filter]);
  const hasQuery = Boolean(query);
  useEffect(() => {
    const conditions = parseFilter(filter) ?? [];
    const chosen = conditions.filter((item) => "value" in item && !UNCOUNTED_FIELDS.has(item.field));
    const fields = [...new Set(chosen.map(({ field }) => field))];
    if (!collection || !hasQuery || !fields.length) return undefined;
    const controller = new AbortController();
    Promise.all(fields.map((field) => fetchFacet(collection, query, field, conditions, controller.signal))).then(
      (replies) => setState({ key, facets: Object.assign({}, ...replies) }),
      () => {}, // the values that match remain
    );
    return () => controller.abort();
  }, [key, hasQuery]);
  return state.key === key ? state.facets : {};
}

async function fetchFacet(collection, query, field, conditions, signal) {
  const filter = buildFilter(conditions.filter((item) => item.field !== field));
  const body = { query, k: 1, mode: "lexical", facets: [field], ...(Object.keys(filter).length && { filter }) };
  return (await api.post(collectionPath(collection, "search"), body, { signal })).facets;
}

/** Return facets with the alternatives of fields that the filter names. */
function addAlternatives(facets, alternatives) {
  const merged = { ...facets };
  for (const [field, values] of Object.entries(alternatives)) {
    const known = new Set(values.map(({ value }) => value));
    merged[field] = [...values, ...(facets[field] ?? []).filter(({ value }) => !known.has(value))];
  }
  return merged;
}

function SearchField() {
  const { params } = useLocation();
  const [text, setText] = useState(params.q ?? "");
  const submitted = useRef(params.q ?? "");
  const timer = useRef(null);
  const lastChange = useRef(0);
  const input = useRef(null);
  useEffect(() => {
    if ((params.q ?? "") === submitted.current) return;
    submitted.current = params.q ?? "";
    setText(submitted.current);
  }, [params.q]);
  useLayoutEffect(() => {
    if (document.activeElement === document.body) input.current.focus(); // at once: `autofocus` loses the first keys
    return () => clearTimeout(timer.current);
  }, []);
  const submit = (value) => {
    clearTimeout(timer.current);
    const replace = Date.now() - lastChange.current < SETTLED_MS; // Back returns to queries whose results were read
    submitted.current = value.trim();
    lastChange.current = Date.now();
    navigate({ q: submitted.current, n: null }, { replace });
  };
  const change = (event) => {
    const { value } = event.target;
    setText(value);
    clearTimeout(timer.current);
    if (!event.isComposing) timer.current = setTimeout(() => submit(value), DEBOUNCE_MS);
  };
  const onSubmit = (event) => { event.preventDefault(); submit(text); };
  return html`<form role="search" class="search-field" onSubmit=${onSubmit}>
    <label class="visually-hidden" for="query">Search the documents</label>
    <input id="query" ref=${input} type="search" value=${text} onInput=${change} oncompositionend=${change} maxlength="4000"
      placeholder="Search the documents" autocomplete="off" enterkeyhint="search" />
    <button class="button primary">Search</button>
  </form>`;
}

function SearchOptions() {
  const { params } = useLocation();
  const chosen = MODES.some(([name]) => name === params.mode) ? params.mode : "hybrid";
  const chooseMode = (name) => navigate({ mode: name === "hybrid" ? null : name, n: null });
  return html`<div class="row spread">
    <fieldset class="segmented"><legend class="visually-hidden">Search mode</legend>
      ${MODES.map(([name, label]) => html`<label key=${name}>
        <input type="radio" name="mode" value=${name} checked=${name === chosen} onChange=${() => chooseMode(name)} />
        <span>${label}</span></label>`)}
    </fieldset>
    <label class="check"><input type="checkbox" checked=${params.explain === "1"}
      onChange=${(event) => navigate({ explain: event.target.checked ? 1 : null })} />Explain the ranking</label>
  </div>`;
}

function ActiveFilters() {
  const { conditions, apply } = useFilter();
  if (!conditions.length) return null;
  return html`<div class="row" role="group" aria-label="Filters"><span class="label">Only</span>
    ${conditions.map((item) => html`<${Chip} key=${labelCondition(item)} label=${labelCondition(item)}
      onRemove=${() => apply(conditions.filter((other) => other !== item))} />`)}
    ${conditions.length > 1 && html`<button class="button quiet small" onClick=${() => apply([])}>Remove all</button>`}
  </div>`;
}

function Facets({ facets }) {
  const { isActive, toggle } = useFilter();
  const fields = Object.entries(facets).filter(([, values]) => values.length);
  const isWide = useMemo(() => window.matchMedia("(min-width: 901px)").matches, []);
  if (!fields.length) return null;
  return html`<aside aria-label="Narrow the results"><details open=${isWide}><summary>Narrow the results</summary>
    ${fields.map(([field, values]) => html`<section class="facet" key=${field}><h2 class="label">${labelField(field)}</h2>
      <ul>${values.map(({ value, count }) => html`<li key=${String(value)}>
        <button aria-pressed=${isActive(field, value)} onClick=${() => toggle(field, value)}>
          <span title=${String(value)}>${labelValue(field, value)}</span><span class="muted number">${formatNumber(count)}</span></button></li>`)}</ul>
    </section>`)}</details></aside>`;
}

function HitCard({ hit, collection, query, isOpen, onOpen }) {
  const { isActive, toggle } = useFilter();
  const best = hit.sentence ? [{ start: hit.sentence.start, end: hit.sentence.end, kind: "best" }] : [];
  const marks = useMemo(() => [...best, ...findMatches(hit.text, query, hit.start)], [hit, query]);
  const places = [hit.uri, hit.heading, hit.page !== null && `page ${hit.page}`].filter(Boolean);
  const metadata = Object.entries(hit.metadata).flatMap(([field, value]) => [value].flat().map((item) => [field, item]));
  return html`<article class="card stack tight">
    <h2><${Link} href=${viewUrl(collection, hit.uri, hit.start, hit.end)} onOpen=${onOpen}
      aria-current=${isOpen ? "true" : undefined}>${hit.title || hit.uri}<//></h2>
    <p class="meta">${places.map((place) => html`<span key=${place}>${place}</span>`)}</p>
    <${Passage} text=${hit.text} marks=${marks} offset=${hit.start} />
    ${metadata.length > 0 && html`<div class="row" role="group" aria-label="Filter by">
      ${metadata.map(([field, value]) => html`<${Chip} key=${`${field}=${value}`} label=${labelCondition({ field, value })}
        pressed=${isActive(field, value)} onClick=${() => toggle(field, value)} />`)}</div>`}
    ${hit.explanation?.map((explanation) => html`<${Explanation} score=${hit.score} explanation=${explanation} />`)}
  </article>`;
}

function Explanation({ score, explanation }) {
  const { dense, lexical, fused, sentence, heading, role, source_weight: weight } = explanation;
  const rows = [
    ["By meaning", dense?.rank, dense?.score], ["By words", lexical?.rank, lexical?.score], ["Both together", null, fused],
    ["Best sentence", null, sentence], ["Title and headings", null, heading],
    ...(role ? [[`Weight of a source like this (${role.replaceAll("_", " ")})`, null, weight]] : []), ["Score", null, score],
  ];
  return html`<details open><summary>Ranking</summary><div class="scroll"><table class="table narrow">
    <thead><tr><th scope="col">Part</th><th scope="col" class="number">Rank</th><th scope="col" class="number">Score</th></tr></thead>
    <tbody>${rows.map(([part, rank, value]) => html`<tr key=${part}><th scope="row">${part}</th>
      <td class="number">${rank ?? "–"}</td><td class="number">${value?.toFixed(3) ?? "–"}</td></tr>`)}</tbody>
  </table></div></details>`;
}

function NoHits() {
  const { params } = useLocation();
  return html`<div class="note empty stack tight"><h2>Nothing was found</h2><ul class="bullets">
    ${params.filter && html`<li>Remove a filter.</li>`}
    ${params.mode === "lexical" && html`<li>Search by meaning: the documents may use other words.</li>`}
    <li>Use other words, or fewer.</li><li>Choose another collection.</li></ul></div>`;
}

function SearchResults({ collection, query, search, opened, open }) {
  const { hits, error, isLoading, hasMore, loadMore, retry } = search;
  if (error && !hits.length) return html`<${ErrorNote} error=${error} onRetry=${retry} />`;
  if (!hits.length) return isLoading || !collection ? html`<${Spinner} label="Searching" />` : html`<${NoHits} />`;
  return html`<div class="stack">
    ${error && html`<${ErrorNote} error=${error} onRetry=${retry} />`}
    <p class="muted small-text">${formatCount(hits.length, "result")}${hasMore ? ", best first; there are more" : ", best first"}</p>
    <ol class=${isLoading ? "list stale" : "list"} aria-busy=${isLoading}>
      ${hits.map((hit) => html`<li key=${hit.chunk_id}><${HitCard} hit=${hit} collection=${collection} query=${query}
        isOpen=${hit.chunk_id === opened?.chunk_id} onOpen=${open && (() => open(hit))} /></li>`)}
    </ol>
    ${hasMore && html`<div><button class="button" disabled=${isLoading} onClick=${loadMore}>More results</button></div>`}
  </div>`;
}

function SearchView() {
  return html`<h1 class="visually-hidden">Search</h1><${NeedsScope} scope="search"><${SearchContent} /><//>`;
}

function SearchContent() {
  const { params } = useLocation();
  const { collections, current, isLoading } = useCollections();
  const search = useSearch(current);
  const query = (params.q ?? "").trim();
  const isWide = useIsWide();
  const alternatives = useAlternatives(current, query, params.filter);
  const facets = useMemo(() => addAlternatives(search.facets, alternatives), [search.facets, alternatives]);
  const [latest, setLatest] = useState(null);
  const opened = latest?.collection === current ? latest.hit : null;
  const open = (hit) => setLatest({ collection: current, hit });
  useEffect(() => setLatest(null), [current, query, params.filter]);
  const info = collections.find(({ name }) => name === current);
  useTitle(query ? `${query} – Search` : "Search");
  const hasFacets = Object.values(facets).some((values) => values.length);
  if (!current && !isLoading) return html`<${NeedsCollection} />`;
  return html`<div class="stack">
    <${SearchField} /><${SearchOptions} /><${ActiveFilters} /><${FilterNote} />
    ${!query && html`<div class="note empty stack tight"><p>${info && `${info.name} has ${formatCount(info.documents, "document")}. `}
      Type a few words or a question; results appear while you type.</p></div>`}
    ${query && isFilterValid(params.filter) && html`<div class=${opened ? "with-panel" : hasFacets ? "with-aside" : ""}>
      <${SearchResults} collection=${current} query=${query} search=${search} opened=${opened} open=${isWide ? open : undefined} />
      ${opened ? html`<${SourcePanel} collection=${current} uri=${opened.uri} start=${opened.start} end=${opened.end}
        cited=${opened.sentence} query=${query} onClose=${() => open(null)} />`
        : hasFacets && html`<${Facets} facets=${facets} />`}</div>`}
  </div>`;
}

// ---------------------------------------------------------------------------------------------------------- Shell

const VIEWS = [
  { path: "/", label: "Search", view: SearchView },
  { path: "/ask", label: "Ask", load: () => import("./ask.js") },
  { path: "/documents", label: "Documents", load: () => import("./documents.js") },
  { path: "/usage", label: "Usage", load: () => import("./usage.js") },
  { path: "/gaps", label: "Gaps", load: () => import("./gaps.js"), isForAdmins: true },
  { path: "/keys", label: "Keys", load: () => import("./keys.js"), isForAdmins: true, isForIdentified: true },
];
const SIGN_IN = { load: () => import("./sign_in.js") };
const SOURCE_VIEW = { path: "/view", load: () => import("./source.js") };
const SOURCE_PANEL = { load: () => import("./source.js").then((module) => ({ default: module.SourcePanel })) };

/** Set the title of the document while a view is shown. */
export function useTitle(title) {
  useEffect(() => { document.title = `${title} – semsearch`; }, [title]);
}

/** A view whose module is imported when it is first shown; other properties are its own. */
function LazyView({ route, ...props }) {
  const [state, setState] = useState({ view: route.view });
  const load = () => {
    setState({});
    route.load().then(
      (module) => { route.view = module.default; setState({ view: module.default }); },
      () => setState({ error: { title: "This part of the page cannot be loaded", detail: "The server cannot be reached, or has a new version. Reload the page." } }),
    );
  };
  useEffect(() => { if (!route.view) load(); }, []);
  if (state.error) return html`<${ErrorNote} error=${state.error} onRetry=${() => window.location.reload()} />`;
  return state.view ? html`<${state.view} ...${props} />` : html`<${Spinner} />`;
}

/** Show a view, and a message instead of an empty page if its code fails. */
function SafeView({ route }) {
  const [error, reset] = useErrorBoundary((cause) => console.error(cause));
  if (error) {
    return html`<${ErrorNote} error=${{ title: "This view failed", detail: "An error of the page; the documents are not affected." }} onRetry=${reset} />`;
  }
  return html`<${LazyView} route=${route} />`;
}

function Header({ route }) {
  const { collections, current, choose } = useCollections();
  const suffix = current ? `?collection=${encodeURIComponent(current)}` : "";
  const names = collections.map(({ name }) => name);
  const options = current && !names.includes(current) ? [current, ...names] : names;
  const { caller, can, isIdentified } = useCaller();
  const isAdmin = caller !== null && can("admin");
  const views = VIEWS.filter(({ isForAdmins, isForIdentified }) => (isAdmin || !isForAdmins) && (isIdentified || !isForIdentified));
  return html`<header class="header"><div class="column">
    <${Link} class="brand" href=${`/${suffix}`}>semsearch<//>
    <nav class="nav" aria-label="Views">${views.map(({ path, label }) => html`<${Link} key=${path} href=${path + suffix}
      aria-current=${route.path === path ? "page" : undefined}>${label}<//>`)}</nav>
    ${options.length > 0 && html`<div class="collection-choice"><label class="label" for="collection">Collection</label>
      <select id="collection" value=${current} onChange=${(event) => choose(event.target.value)}>
        ${options.map((name) => html`<option key=${name} value=${name}>${name}</option>`)}</select></div>`}
    ${isIdentified && html`<${Account} />`}
  </div></header>`;
}

/** Who is signed in, and how to sign out. A proxy that identifies the user signs them out itself. */
function Account() {
  const { caller } = useCaller();
  const [error, setError] = useState(null);
  const leave = () => { setError(null); signOut().catch(setError); };
  return html`<div class="account" role="group" aria-label="Access"><span class="visually-hidden">Signed in as </span>
    <span class="owner" title=${caller.owner}>${caller.owner}</span>
    ${caller.signed_in && html`<button class="button small" onClick=${leave}>Sign out</button>`}
    ${error && html`<p class="small-text" role="alert">You are still signed in. ${error.detail}</p>`}</div>`;
}

function Footer() {
  const { caller, can, isIdentified } = useCaller();
  return html`<footer class="footer"><div class="column row"><a href="/docs">API documentation</a>
    ${caller && can("admin") && !isIdentified && html`<${Link} href="/keys">Access keys<//>`}</div></footer>`;
}

function App() {
  const { path } = useLocation();
  const route = VIEWS.find((view) => view.path === path) ?? (parseViewPath(path) ? SOURCE_VIEW : VIEWS[0]);
  const { caller, isSignInNeeded } = useStore(accessStore);
  const isFirst = useRef(true);
  useEffect(() => { reloadCollections(); }, []);
  useEffect(() => {
    if (!isFirst.current) document.getElementById("main").focus();
    isFirst.current = false;
    window.scrollTo(0, 0);
  }, [path]);
  useEffect(() => { // the field that had the focus is gone
    if (!isSignInNeeded && signInCount && document.activeElement === document.body) document.getElementById("main").focus();
  }, [isSignInNeeded]);
  const signIn = isSignInNeeded && html`<${LazyView} route=${SIGN_IN} isFirst=${caller === null} />`;
  if (signIn && !caller) return signIn;
  return html`<a class="skip visually-hidden" href="#main">Skip to the content</a>
    <${Header} route=${route} />
    <main id="main" class="column" tabindex="-1"><${SafeView} key=${route.path} route=${route} /></main>
    <${Footer} />${signIn}`;
}

render(html`<${App} />`, document.getElementById("app"));
