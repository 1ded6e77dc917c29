// Approved answers: when an answer was approved, and the button that approves it or removes its approval.

import {
  announce, api, collectionPath, createStore, Dialog, ErrorNote, html, useCaller, useEffect, useState, useStore,
} from "./app.js";
import { useAction } from "./collection_dialogs.js";

const MAX_QUESTION_CHARACTERS = 4000;
const NOT_SERVED = [404, 405, 422];
const UNKNOWN = { collection: null, approved: null, error: null };
const approvedStore = createStore(UNKNOWN); // shared: an approval replaces that of the same question
const dateFormat = new Intl.DateTimeFormat("en", { dateStyle: "medium", timeZone: "UTC" });

const describeApproval = (time) => `Approved on ${dateFormat.format(new Date(time))}`;

/** When a returned answer was approved, in its label. */
export const ApprovalBadge = ({ approval }) => html`<span class="badge good">${describeApproval(approval.date)}</span>`;

async function readApproved(collection) {
  try {
    const { approved } = await api.get(collectionPath(collection, "approved"));
    approvedStore.set({ collection, approved, error: null });
  } catch (error) {
    approvedStore.set({ collection, approved: null, error: NOT_SERVED.includes(error.status) ? null : error });
  }
}

/** The state of an answer and the button, for administrators. Servers without approved answers have no field `approved`. */
export function ApprovalRow({ answer, question, collection }) {
  const { can } = useCaller();
  const isApprovable = answer.answered && answer.complete && answer.citations.length > 0;
  if (!can("admin") || answer.approved === undefined || !isApprovable) return null;
  return html`<${Approval} answer=${answer} question=${question} collection=${collection} />`;
}

function Approval({ answer, question, collection }) {
  const { caller } = useCaller();
  const latest = useStore(approvedStore);
  const { approved, error } = latest.collection === collection ? latest : UNKNOWN;
  const [dialog, setDialog] = useState(null);
  useEffect(() => { readApproved(collection); }, [collection, answer.id]);
  if (error) return html`<${ErrorNote} error=${error} onRetry=${() => readApproved(collection)} />`;
  if (!approved) return null;
  const entry = approved.find(({ id }) => id === answer.id || id === answer.approved?.id);
  const isOwn = !entry || entry.owner === caller.owner;
  const close = () => setDialog(null);
  const end = async (message) => {
    await readApproved(collection);
    close();
    announce(message);
  };
  // One button, so that the focus returns to it from both dialogs.
  return html`<div class="row" role="group" aria-label="Approval">
    ${entry && (entry.stale || !answer.approved) && html`<${State} entry=${entry} />`}
    ${isOwn && html`<button class="button small" onClick=${() => setDialog(entry ? "remove" : "approve")}>${entry ? "Remove approval" : "Approve this answer"}</button>`}
    ${entry && html`<span class="muted small-text">${explain(entry)}</span>`}
    ${dialog === "approve" && html`<${ApproveDialog} id=${answer.id} asked=${question} onDone=${end} onClose=${close} />`}
    ${dialog === "remove" && entry && html`<${RemoveDialog} entry=${entry} onDone=${end} onClose=${close} />`}</div>`;
}

const approvalPath = (id) => `/v1/answers/${encodeURIComponent(id)}/approve`;

function State({ entry }) {
  if (entry.stale) return html`<span class="badge warn">Approval out of date</span>`;
  return html`<span class="badge good">${describeApproval(entry.approved)}</span>`;
}

function explain({ question, stale, reason }) {
  if (stale) return `It is no longer returned${reason ? `: ${reason}` : ""}. Ask again, and approve the new answer.`;
  return `It is returned for the question “${question}”.`;
}

/** The question is reviewed too: within a conversation it may depend on those before it. */
function ApproveDialog({ id, asked, onDone, onClose }) {
  const [question, setQuestion] = useState(asked);
  const { error, isBusy, run } = useAction(async () => {
    await api.post(approvalPath(id), { question: question.trim() });
    await onDone("The answer is approved");
  });
  const onSubmit = (event) => { event.preventDefault(); if (!isBusy) run(); };
  return html`<${Dialog} title="Approve this answer?" onClose=${onClose}><form class="stack" onSubmit=${onSubmit}>
    <p>Everyone who may read its sources then gets it for this question, as long as the quoted words stand in them.</p>
    <div class="field"><label for="approved-question">Question</label>
      <textarea id="approved-question" rows="3" required maxlength=${MAX_QUESTION_CHARACTERS} value=${question}
        aria-describedby="approved-question-help" onInput=${(event) => setQuestion(event.target.value)} />
      <p id="approved-question-help" class="muted small-text">Write all of it, as it would be asked without the questions before.</p></div>
    ${error && html`<${ErrorNote} error=${error} />`}
    <div class="row"><button class="button primary" disabled=${isBusy || !question.trim()}>Approve</button>
      <button type="button" class="button" onClick=${onClose}>Cancel</button></div></form><//>`;
}

function RemoveDialog({ entry, onDone, onClose }) {
  const { error, isBusy, run } = useAction(async () => {
    await api.del(approvalPath(entry.id));
    await onDone("The approval is removed");
  });
  return html`<${Dialog} title="Remove the approval?" onClose=${onClose}>
    <p>The question “${entry.question}” is then answered anew each time.</p>
    ${error && html`<${ErrorNote} error=${error} />`}
    <div class="row"><button class="button danger" disabled=${isBusy} onClick=${run}>Remove approval</button>
      <button class="button" onClick=${onClose}>Cancel</button></div><//>`;
}
