// The list of earlier conversations, to open and to delete.

import { announce, api, Dialog, ErrorNote, formatCount, html, Link, navigate, Spinner, useEffect, useRef, useState } from "./app.js";

const PAGE_SESSIONS = 20;
const timeFormat = new Intl.DateTimeFormat("en", { dateStyle: "medium", timeStyle: "short" });

/** Earlier conversations with a collection; they are read when the list is opened, and when `current`,
    `turns` or `discarded` changes. */
export function Sessions({ collection, current, turns, discarded, onDeleted }) {
  const [isOpen, setOpen] = useState(false);
  return html`<details onToggle=${(event) => setOpen(event.currentTarget.open)}>
    <summary>Earlier conversations</summary>
    ${isOpen && collection && html`<${SessionList} key=${collection} collection=${collection} current=${current}
      turns=${turns} discarded=${discarded} onDeleted=${onDeleted} />`}
  </details>`;
}

function SessionList({ collection, current, turns, discarded, onDeleted }) {
  const [{ sessions, cursor, isLoading, error }, setState] = useState({ sessions: [], cursor: null, isLoading: true, error: null });
  const [doomed, setDoomed] = useState(null);
  const load = async (from = null) => {
    setState((previous) => ({ ...previous, isLoading: true, error: null }));
    try {
      const page = await api.get("/v1/sessions", { query: { collection, limit: PAGE_SESSIONS, cursor: from } });
      const add = (previous) => (from ? [...previous.sessions, ...page.sessions] : page.sessions);
      setState((previous) => ({ sessions: add(previous), cursor: page.next_cursor, isLoading: false, error: null }));
    } catch (cause) {
      setState((previous) => ({ ...previous, isLoading: false, error: cause }));
    }
  };
  useEffect(() => { load(); }, [current, turns, discarded]);
  const [removed, setRemoved] = useState(0);
  const list = useRef(null);
  useEffect(() => { if (removed) list.current.focus(); }, [removed]); // the button that had the focus is gone
  const remove = (session) => {
    setDoomed(null);
    setRemoved(removed + 1);
    announce("The conversation was deleted.");
    setState((previous) => ({ ...previous, sessions: previous.sessions.filter(({ id }) => id !== session.id) }));
    onDeleted(session.id);
  };
  if (error && (error.status === 404 || error.status === 405)) return html`<p class="muted">This server does not list conversations.</p>`;
  return html`<div class="stack tight">
    ${error && html`<${ErrorNote} error=${error} onRetry=${() => load()} />`}
    ${!sessions.length && !isLoading && !error && html`<p class="muted">There is none yet. The questions of a conversation are kept, so that you can return to it.</p>`}
    <ul class="sessions" ref=${list} tabindex="-1" aria-label="Earlier conversations">${sessions.map((session) => html`<${SessionRow} key=${session.id} session=${session} collection=${collection}
      isCurrent=${session.id === current} onDelete=${() => setDoomed(session)} />`)}</ul>
    ${isLoading && html`<${Spinner} />`}
    ${cursor && !isLoading && html`<div><button class="button small" onClick=${() => load(cursor)}>More conversations</button></div>`}
    ${doomed && html`<${DeleteDialog} session=${doomed} onClose=${() => setDoomed(null)} onDeleted=${() => remove(doomed)} />`}
  </div>`;
}

/** Return what a session is called; one whose first question failed has no questions. */
const nameSession = ({ title, turns }) => title || (turns ? "Without a title" : "Conversation without questions");

function SessionRow({ session, collection, isCurrent, onDelete }) {
  const href = `/ask?collection=${encodeURIComponent(collection)}&session=${encodeURIComponent(session.id)}`;
  return html`<li><div><${Link} href=${href} aria-current=${isCurrent ? "true" : undefined}>${nameSession(session)}<//>
      <p class="meta"><span>${formatCount(session.turns, "question")}</span><span>${timeFormat.format(new Date(session.last_used))}</span>
      ${isCurrent && html`<span>shown now</span>`}</p></div>
    <button class="button danger small" onClick=${onDelete} aria-label=${`Delete the conversation “${nameSession(session)}”`}>Delete</button></li>`;
}

function DeleteDialog({ session, onClose, onDeleted }) {
  const [{ isBusy, error }, setState] = useState({ isBusy: false, error: null });
  const confirm = async () => {
    setState({ isBusy: true, error: null });
    try {
      await api.del(`/v1/sessions/${encodeURIComponent(session.id)}`);
    } catch (cause) {
      if (cause.status !== 404) return setState({ isBusy: false, error: cause }); // 404: it is deleted already
    }
    return onDeleted();
  };
  return html`<${Dialog} title="Delete this conversation?" onClose=${onClose}>
    <p>“${nameSession(session)}” with ${formatCount(session.turns, "question")} cannot be opened or continued any more. Documents are not affected.</p>
    ${error && html`<${ErrorNote} error=${error} />`}
    <div class="row"><button class="button danger" disabled=${isBusy} onClick=${confirm}>Delete</button>
      <button class="button" onClick=${onClose}>Keep</button></div>
  <//>`;
}

/** Leave a conversation that was deleted. */
export const leaveSession = (id, current) => id === current && navigate({ session: null, answer: null, q: null });
