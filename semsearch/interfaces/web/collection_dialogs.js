// Dialogs that create and delete a collection.

import { announce, api, collectionPath, Dialog, ErrorNote, formatCount, html, navigate, reloadCollections, useEffect, useState } from "./app.js";

const NAME = /^[a-z0-9][a-z0-9_-]{0,62}$/; // as the server checks it, but with a message in plain words

/** Run an action once at a time; return {error, isBusy, run}. */
export function useAction(action) {
  const [state, setState] = useState({ error: null, isBusy: false });
  const run = async () => {
    setState({ error: null, isBusy: true });
    try {
      await action();
    } catch (error) {
      setState({ error, isBusy: false });
    }
  };
  return { ...state, run };
}

/** The fields of a new collection; `onDone` is called when it exists and is the chosen one. */
export function CreateForm({ names, initialName = "", onDone, onCancel }) {
  const [name, setName] = useState(initialName);
  const [embedder, setEmbedder] = useState("");
  const { error, isBusy, run } = useAction(async () => {
    if (!NAME.test(name)) throw { title: "This name is not allowed", detail: "Use small letters, digits, - and _, and begin with a letter or digit." };
    if (names.includes(name)) throw { title: "This name is taken", detail: `There is a collection ${name} already. Choose another name.` };
    await api.put(collectionPath(name), JSON.stringify(embedder.trim() ? { embedder: embedder.trim() } : {}), {
      headers: { "Content-Type": "application/json" },
    });
    await reloadCollections();
    navigate({ collection: name, name: null, filter: null });
    announce(`Collection ${name} is created`);
    onDone?.();
  });
  const onSubmit = (event) => { event.preventDefault(); if (!isBusy) run(); };
  return html`<form class="stack" onSubmit=${onSubmit}>
    <div class="field"><label for="new-name">Name</label>
      <input id="new-name" value=${name} onInput=${(event) => setName(event.target.value)} required maxlength="63" autocomplete="off"
        autocapitalize="none" spellcheck=${false} aria-describedby="new-name-help" />
      <p id="new-name-help" class="muted small-text">Small letters, digits, - and _, such as handbook.</p></div>
    <details><summary>Model for embeddings</summary><div class="field">
      <label for="new-embedder">Embedder (empty: the default of the server)</label>
      <input id="new-embedder" value=${embedder} onInput=${(event) => setEmbedder(event.target.value)} maxlength="200"
        autocomplete="off" autocapitalize="none" spellcheck=${false} aria-describedby="new-embedder-help" />
      <p id="new-embedder-help" class="muted small-text">local, or openai:MODEL for a model server. It cannot be changed later.</p>
    </div></details>
    ${error && html`<${ErrorNote} error=${error} />`}
    <div class="row"><button class="button primary" disabled=${isBusy || !name}>Create collection</button>
      ${onCancel && html`<button type="button" class="button" onClick=${onCancel}>Cancel</button>`}</div>
  </form>`;
}

export const CreateDialog = ({ names, onClose }) => html`<${Dialog} title="New collection" onClose=${onClose}>
  <${CreateForm} names=${names} onDone=${onClose} onCancel=${onClose} /><//>`;

/** Ask before an action that cannot be undone; `onConfirm` rejects with the reason why it failed. */
export function ConfirmDialog({ title, confirmLabel, busyLabel = "Deleting…", onConfirm, onClose, children }) {
  const { error, isBusy, run } = useAction(onConfirm);
  return html`<${Dialog} title=${title} onClose=${onClose}>
    ${children}
    ${error && html`<${ErrorNote} error=${error} />`}
    <div class="row"><button class="button" disabled=${isBusy} onClick=${onClose}>Cancel</button>
      <button class="button danger" disabled=${isBusy} onClick=${run}>${isBusy ? busyLabel : confirmLabel}</button></div><//>`;
}

/** Return how many documents a collection has now: others may have added some since the page was opened. */
function useDocumentCount({ name, documents }) {
  const [count, setCount] = useState(documents);
  useEffect(() => {
    api.get(collectionPath(name)).then((info) => setCount(info.documents), () => {});
  }, [name]);
  return count;
}

export function DeleteCollectionDialog({ info, onClose }) {
  const count = useDocumentCount(info);
  const confirm = async () => {
    await api.del(collectionPath(info.name));
    navigate({ collection: null, name: null, filter: null });
    await reloadCollections();
    announce(`Collection ${info.name} is deleted`);
    onClose();
  };
  return html`<${ConfirmDialog} title=${`Delete the collection ${info.name}?`} confirmLabel="Delete collection"
      onConfirm=${confirm} onClose=${onClose}>
    ${count === 0 ? html`<p>It has no documents. This cannot be undone.</p>`
    : html`<p>${count === null ? "It may have documents"
      : html`It has <strong>${formatCount(count, "document")}</strong>`}, all of which are removed from semsearch. This cannot be undone.
      The files that they were read from are not changed.</p>`}<//>`;
}
