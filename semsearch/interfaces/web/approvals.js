// Approved answers: when an answer was approved, and the button that approves it or removes its approval.

import { announce, api, collectionPath, createStore, ErrorNote, html, useCaller, useEffect, useState, useStore } from "./app.js";

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
export function ApprovalRow({ answer, collection }) {
  const { can } = useCaller();
  const isApprovable = answer.answered && answer.complete && answer.citations.length > 0;
  if (!can("admin") || answer.approved === undefined || !isApprovable) return null;
  return html`<${Approval} answer=${answer} collection=${collection} />`;
}

function Approval({ answer, collection }) {
  const { caller } = useCaller();
  const latest = useStore(approvedStore);
  const { approved, error } = latest.collection === collection ? latest : UNKNOWN;
  const [action, setAction] = useState({ isBusy: false, error: null });
  useEffect(() => { readApproved(collection); }, [collection, answer.id]);
  if (error) return html`<${ErrorNote} error=${error} onRetry=${() => readApproved(collection)} />`;
  if (!approved) return null;
  const entry = approved.find(({ id }) => id === answer.id || id === answer.approved?.id);
  const run = async (send, message) => {
    if (action.isBusy) return;
    setAction({ isBusy: true, error: null });
    try {
      await send();
      await readApproved(collection);
      announce(message);
      setAction({ isBusy: false, error: null });
    } catch (cause) {
      setAction({ isBusy: false, error: cause });
    }
  };
  const approve = () => run(() => api.post(approvalPath(answer.id), {}), "The answer is approved");
  const remove = () => run(() => api.del(approvalPath(entry.id)), "The approval is removed");
  const isOwn = !entry || entry.owner === caller.owner;
  // One button, so that it keeps the focus; a disabled one would lose it.
  return html`<div class="stack tight"><div class="row" role="group" aria-label="Approval">
      ${entry && (entry.stale || !answer.approved) && html`<${State} entry=${entry} />`}
      ${isOwn && html`<button class="button small" aria-busy=${action.isBusy} onClick=${entry ? remove : approve}>
        ${entry ? "Remove approval" : "Approve this answer"}</button>`}
      <span class="muted small-text">${explain(entry)}</span></div>
    ${action.error && html`<${ErrorNote} error=${action.error} />`}</div>`;
}

const approvalPath = (id) => `/v1/answers/${encodeURIComponent(id)}/approve`;

function State({ entry }) {
  if (entry.stale) return html`<span class="badge warn">Approval out of date</span>`;
  return html`<span class="badge good">${describeApproval(entry.approved)}</span>`;
}

function explain(entry) {
  if (entry?.stale) return `It is no longer returned${entry.reason ? `: ${entry.reason}` : ""}. Ask again, and approve the new answer.`;
  return `${entry ? "Everyone who may read its sources gets it" : "Everyone who may read its sources then gets it"} for this question, as long as its quotes stand in them.`;
}
