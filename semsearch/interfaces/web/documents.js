// The view "Documents": add files, list what is stored, delete.

import {
  announce, api, collectionPath, ErrorNote, explainScope, formatCount, formatNumber, html, isAborted, Link, navigate, reloadCollections,
  labelType, NeedsScope, Spinner, useCaller, useCollections, useEffect, useLocation, useRef, useState, useTitle, viewUrl,
} from "./app.js";
import { ConfirmDialog, CreateDialog, CreateForm, DeleteCollectionDialog } from "./collection_dialogs.js";
import { listChosen, listDropped } from "./dropped_files.js";
import { addFiles, UploadQueue, useUploads } from "./uploads.js";

const PAGE_SIZE = 50;
const MAX_PAGE_SIZE = 1000;
const DEBOUNCE_MS = 200;
const RELOAD_MS = 600;
const MAX_URIS_PER_DELETION = 200; // keeps the request below the size limit of its body
const MAX_NAMED = 5;
const LAST_CHARACTER = "\u{10ffff}";
const NO_DOCUMENTS = { documents: [], total: null, cursor: null, error: null, isLoading: true };

/** Return the filter of documents whose name or title begins with a text, or null. */
function makeFilter(text) {
  if (!text) return null;
  const range = { $gte: text, $lt: text + LAST_CHARACTER };
  return JSON.stringify({ $or: [{ uri: range }, { title: range }] });
}

/** Return the documents of a collection, page by page; `reload` keeps as many as are shown. */
function useDocuments(collection, text) {
  const [state, setState] = useState(NO_DOCUMENTS);
  const controller = useRef(null);
  const load = async (limit, cursor, previous) => {
    controller.current?.abort();
    controller.current = new AbortController();
    const query = { limit, cursor, filter: makeFilter(text) };
    setState((shown) => ({ ...shown, isLoading: true, error: null }));
    try {
      const reply = await api.get(collectionPath(collection, "documents"), { query, signal: controller.current.signal });
      setState({ documents: [...previous, ...reply.documents], total: reply.total, cursor: reply.next_cursor, error: null, isLoading: false });
      return reply;
    } catch (error) {
      if (!isAborted(error)) setState((shown) => ({ ...shown, error, isLoading: false }));
      return null;
    }
  };
  const reload = () => load(Math.min(Math.max(state.documents.length, PAGE_SIZE), MAX_PAGE_SIZE), null, []);
  const loadMore = () => load(PAGE_SIZE, state.cursor, state.documents);
  useEffect(() => {
    load(PAGE_SIZE, null, []).then((reply) => reply && text && announce(formatCount(reply.total, "document")));
    return () => controller.current.abort();
  }, [text]);
  return { ...state, reload, loadMore };
}

function NameFilter() {
  const { params } = useLocation();
  const [text, setText] = useState(params.name ?? "");
  const timer = useRef(null);
  useEffect(() => { if (params.name !== text.trim()) setText(params.name ?? ""); }, [params.name]);
  useEffect(() => () => clearTimeout(timer.current), []);
  const change = (event) => {
    const { value } = event.target;
    setText(value);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => navigate({ name: value.trim() }, { replace: true }), DEBOUNCE_MS);
  };
  return html`<div class="field"><label for="name-filter">Name or title begins with</label>
    <input id="name-filter" type="search" value=${text} onInput=${change} maxlength="1000" autocomplete="off" spellcheck=${false} /></div>`;
}

function AddDocuments({ collection }) {
  const [folder, setFolder] = useState("");
  const [isDragging, setDragging] = useState(false);
  const [error, setError] = useState(null);
  const files = useRef(null), tree = useRef(null), target = useRef(null);
  target.current = { collection, folder };
  const add = (found) => addFiles(target.current.collection, target.current.folder, found);
  const choose = (event) => { add(listChosen(event.target)); event.target.value = ""; };
  useEffect(() => listenForDrops(setDragging, (found) => found.then((list) => { setError(null); add(list); },
    () => setError({ title: "The folder cannot be read", detail: "The browser could not read a file in it. Check that you may read it, then drop it again." }))), []);
  return html`<section class=${isDragging ? "drop-zone dragging" : "drop-zone"} aria-labelledby="add-title">
    <div class="stack tight"><h2 id="add-title">Add documents</h2>
      <p class="muted">${isDragging ? `Drop to add to ${collection}.` : "Drop files or folders anywhere on this page, or choose them."}</p></div>
    <div class="row add-controls">
      <button class="button primary" onClick=${() => files.current.click()}>Add files</button>
      <button class="button" onClick=${() => tree.current.click()}>Add folder</button>
      <input ref=${files} type="file" multiple hidden aria-label="Files" onChange=${choose} />
      <input ref=${tree} type="file" webkitdirectory hidden aria-label="Folder" onChange=${choose} />
      <div class="field"><label for="folder">Into folder (optional)</label>
        <input id="folder" value=${folder} onInput=${(event) => setFolder(event.target.value)} maxlength="500" autocomplete="off" spellcheck=${false} /></div>
    </div>
    ${error && html`<${ErrorNote} error=${error} />`}
  </section>`;
}

/** Accept files that are dropped anywhere on the page, until the returned function is called. */
function listenForDrops(setDragging, onFiles) {
  const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
  const isBlocked = () => document.querySelector("dialog[open]");
  const over = (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault(); // else the browser opens the file instead of the page
    event.dataTransfer.dropEffect = isBlocked() ? "none" : "copy";
    if (!isBlocked()) setDragging(true);
  };
  const leave = (event) => { if (!event.relatedTarget) setDragging(false); };
  const drop = (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    setDragging(false);
    if (!isBlocked()) onFiles(listDropped(event.dataTransfer));
  };
  const listeners = [["dragover", over], ["dragleave", leave], ["drop", drop]];
  listeners.forEach(([name, listener]) => window.addEventListener(name, listener));
  return () => listeners.forEach(([name, listener]) => window.removeEventListener(name, listener));
}

function DocumentRow({ info, collection, isSelected, onSelect, onDelete }) {
  const { uri, title, media_type: mediaType, chunks, characters } = info;
  return html`<tr class=${isSelected ? "selected" : ""}>
    ${onDelete && html`<td class="select"><label class="check"><input type="checkbox" checked=${isSelected} onChange=${() => onSelect(uri)} aria-label=${`Select ${uri}`} /></label></td>`}
    <th scope="row"><${Link} href=${viewUrl(collection, uri)}>${title || uri}<//>
      ${title && title !== uri && html`<p class="muted small-text uri">${uri}</p>`}
      <p class="meta narrow-only"><span>${labelType(mediaType)}</span><span>${formatCount(chunks, "chunk")}</span>
        <span>${formatCount(characters, "character")}</span></p></th>
    <td class="wide-only" title=${mediaType}>${labelType(mediaType)}</td>
    <td class="wide-only number">${formatNumber(chunks)}</td>
    <td class="wide-only number">${formatNumber(characters)}</td>
    ${onDelete && html`<td><button class="button quiet small" aria-label=${`Delete ${uri}`} onClick=${() => onDelete([uri])}>Delete</button></td>`}
  </tr>`;
}

/** The documents; without `onDelete` they are not selected either. */
function DocumentTable({ documents, collection, selected, setSelected, onDelete }) {
  const toggle = (uri) => {
    const next = new Set(selected);
    if (!next.delete(uri)) next.add(uri);
    setSelected(next);
  };
  const areAllSelected = documents.every(({ uri }) => selected.has(uri));
  const toggleAll = () => setSelected(new Set(areAllSelected ? [] : documents.map(({ uri }) => uri)));
  return html`<table class="table documents">
    <caption class="visually-hidden">Documents of ${collection}, by name</caption>
    <thead><tr>${onDelete && html`<td class="select"><label class="check"><input type="checkbox" checked=${areAllSelected} onChange=${toggleAll}
          indeterminate=${!areAllSelected && selected.size > 0} aria-label="Select all that are shown" /></label></td>`}
      <th scope="col">Document</th><th scope="col" class="wide-only">Type</th><th scope="col" class="wide-only number">Chunks</th>
      <th scope="col" class="wide-only number">Characters</th>${onDelete && html`<td></td>`}</tr></thead>
    <tbody>${documents.map((item) => html`<${DocumentRow} key=${item.uri} info=${item} collection=${collection}
      isSelected=${selected.has(item.uri)} onSelect=${toggle} onDelete=${onDelete} />`)}</tbody>
  </table>`;
}

function DeleteDocumentsDialog({ collection, uris, onDone, onClose }) {
  const confirm = async () => {
    for (let start = 0; start < uris.length; start += MAX_URIS_PER_DELETION) {
      const part = uris.slice(start, start + MAX_URIS_PER_DELETION);
      await api.post(`${collectionPath(collection, "documents")}/delete`, { filter: { uri: { $in: part } } });
    }
    announce(`${formatCount(uris.length, "document")} deleted`);
    onDone();
  };
  const noun = formatCount(uris.length, "document");
  return html`<${ConfirmDialog} title=${uris.length === 1 ? "Delete this document?" : `Delete ${noun}?`} confirmLabel=${`Delete ${noun}`}
      onConfirm=${confirm} onClose=${onClose}>
    <ul class="bullets">${uris.slice(0, MAX_NAMED).map((uri) => html`<li key=${uri}>${uri}</li>`)}
      ${uris.length > MAX_NAMED && html`<li>and ${formatNumber(uris.length - MAX_NAMED)} more</li>`}</ul>
    <p>No search or answer will use ${uris.length === 1 ? "it" : "them"} any more. This cannot be undone, but files can be added again.</p><//>`;
}

function NoDocuments({ text, canAdd }) {
  if (!text) {
    return html`<div class="note empty stack tight"><h3>No document yet</h3>
      ${canAdd && html`<p>Add files above. Each one can be searched as soon as it is marked as added.</p>`}</div>`;
  }
  return html`<div class="note empty stack tight"><h3>No document begins with this</h3>
    <p>Upper and lower case letters differ, and a name includes its folder: docs/leave.md.</p>
    <div><button class="button" onClick=${() => navigate({ name: null })}>Show all documents</button></div></div>`;
}

/** Reload some time after `count` has changed, not at each of many changes. */
function useReload(count, reload) {
  const timer = useRef(null), latest = useRef(null), seen = useRef(count);
  latest.current = reload;
  useEffect(() => {
    if (seen.current === count) return;
    seen.current = count;
    timer.current ??= setTimeout(() => { timer.current = null; latest.current(); }, RELOAD_MS);
  }, [count]);
  useEffect(() => () => clearTimeout(timer.current), []);
}

function DocumentList({ collection, canDelete }) {
  const { params } = useLocation();
  const text = (params.name ?? "").trim();
  const { documents, total, cursor, error, isLoading, reload, loadMore } = useDocuments(collection, text);
  const { stored } = useUploads();
  const [selected, setSelected] = useState(new Set());
  const [deleting, setDeleting] = useState(null);
  const [deletions, setDeletions] = useState(0);
  const heading = useRef(null);
  useEffect(() => setSelected(new Set()), [text]);
  useReload(stored, reload);
  useEffect(() => { if (deletions) heading.current.focus(); }, [deletions]); // the button that had the focus is gone
  const onDone = () => {
    setSelected(new Set([...selected].filter((uri) => !deleting.includes(uri))));
    setDeleting(null);
    setDeletions(deletions + 1);
    reload();
    reloadCollections();
  };
  const chosen = documents.map(({ uri }) => uri).filter((uri) => selected.has(uri));
  return html`<section class="stack" aria-labelledby="list-title">
    <div class="row spread list-head"><h2 id="list-title" ref=${heading} tabindex="-1">${labelTotal(total, text, collection)}</h2><${NameFilter} /></div>
    ${error && html`<${ErrorNote} error=${error} onRetry=${reload} />`}
    ${chosen.length > 0 && html`<div class="row selection"><span>${formatNumber(chosen.length)} selected</span>
      <button class="button danger small" onClick=${() => setDeleting(chosen)}>Delete selected</button>
      <button class="button quiet small" onClick=${() => setSelected(new Set())}>Select none</button></div>`}
    ${documents.length > 0 && html`<${DocumentTable} documents=${documents} collection=${collection} selected=${selected}
      setSelected=${setSelected} onDelete=${canDelete ? setDeleting : undefined} />`}
    ${!documents.length && !error && (isLoading ? html`<${Spinner} />` : html`<${NoDocuments} text=${text} canAdd=${canDelete} />`)}
    ${cursor && documents.length < total && html`<div class="row"><button class="button" disabled=${isLoading} onClick=${loadMore}>More documents</button>
      <span class="muted small-text">${formatNumber(documents.length)} of ${formatNumber(total)} shown</span></div>`}
    ${deleting && html`<${DeleteDocumentsDialog} collection=${collection} uris=${deleting} onDone=${onDone} onClose=${() => setDeleting(null)} />`}
  </section>`;
}

const labelTotal = (total, text, collection) => total === null ? `Documents of ${collection}`
  : `${formatCount(total, "document")} ${text ? `of ${collection} with this beginning` : `in ${collection}`}`;

function CollectionActions({ info, names }) {
  const [dialog, setDialog] = useState(null);
  const close = () => setDialog(null);
  return html`<div class="row"><button class="button" onClick=${() => setDialog("create")}>New collection</button>
    <button class="button danger" onClick=${() => setDialog("delete")}>Delete collection</button>
    ${dialog === "create" && html`<${CreateDialog} names=${names} onClose=${close} />`}
    ${dialog === "delete" && html`<${DeleteCollectionDialog} info=${info} onClose=${close} />`}</div>`;
}

function NoCollection({ name, names }) {
  const { can } = useCaller();
  if (!can("admin")) {
    return html`<div class="note empty stack tight"><h2>${name ? `There is no collection ${name}` : "There is no collection yet"}</h2>
      <p>Or you may not see it. ${explainScope("admin")}</p></div>`;
  }
  return html`<div class="note empty stack">
    <h2>${name ? `There is no collection ${name}` : "There is no collection yet"}</h2>
    <p>A collection holds documents that are searched together. Create one, then add files${names.length ? "; or choose another one above" : ""}.</p>
    <${CreateForm} key=${name} names=${names} initialName=${name ?? "default"} /></div>`;
}

export default function DocumentsView() {
  useTitle("Documents");
  const { can } = useCaller();
  const { collections, current, error, isLoading, reload } = useCollections();
  const info = collections.find(({ name }) => name === current);
  const names = collections.map(({ name }) => name);
  const heading = html`<h1>Documents</h1>`;
  if (error && !collections.length) return html`<div class="stack">${heading}<${ErrorNote} error=${error} onRetry=${reload} /></div>`;
  if (!info) {
    return html`<div class="stack">${heading}${isLoading ? html`<${Spinner} />`
      : html`<${NoCollection} name=${current} names=${names} />`}<${UploadQueue} /></div>`;
  }
  return html`<div class="stack"><div class="row spread">${heading}
      ${can("admin") && html`<${CollectionActions} info=${info} names=${names} />`}</div>
    ${info.chunks !== null && html`<p class="muted">${info.name}: ${formatCount(info.chunks, "chunk")}, embedder ${info.embedder}</p>`}
    ${can("write") ? html`<${AddDocuments} collection=${current} />` : html`<p class="note">${explainScope("write")}</p>`}
    <${UploadQueue} />
    <${NeedsScope} scope="search"><${DocumentList} key=${current} collection=${current} canDelete=${can("write")} /><//></div>`;
}
