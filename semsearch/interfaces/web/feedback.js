// What a reader says about an answer: helpful or not, a wrong citation, the right passage.

import { api, ErrorNote, html, useState } from "./app.js";

/** Return what is stored about an answer, `send`, and the error of the last attempt. `onStored` gets the whole of it. */
export function useFeedback(answerId, stored, onStored) {
  const [{ isBusy, error }, setState] = useState({ isBusy: false, error: null });
  const send = async (fields) => {
    setState({ isBusy: true, error: null });
    try {
      onStored(await api.post(`/v1/answers/${encodeURIComponent(answerId)}/feedback`, fields));
      setState({ isBusy: false, error: null });
    } catch (cause) {
      const isMissing = cause.status === 404 || cause.status === 405;
      const error = isMissing ? { title: "The feedback was not stored", detail: cause.detail } : cause;
      setState({ isBusy: false, error });
    }
  };
  return { stored: stored ?? {}, send, isBusy, error };
}

/** A button whose pressed state is what the server has stored. */
export function FeedbackButton({ feedback, fields, label, description }) {
  const [[name, value]] = Object.entries(fields);
  return html`<button class="button small feedback" aria-pressed=${feedback.stored[name] === value} disabled=${feedback.isBusy}
    aria-label=${description} onClick=${() => feedback.send(fields)}>${label}</button>`;
}

/** The question whether the answer helped, and what was stored. `nameOf(chunkId)` names the passage. */
export function FeedbackRow({ feedback, nameOf }) {
  const parts = describeStored(feedback.stored, nameOf);
  return html`<div class="stack tight">
    <div class="row" role="group" aria-label="Feedback"><span class="label">Did this help?</span>
      <${FeedbackButton} feedback=${feedback} fields=${{ helpful: true }} label="Helpful" />
      <${FeedbackButton} feedback=${feedback} fields=${{ helpful: false }} label="Not helpful" /></div>
    <p role="status" class="small-text thanks">${parts.length > 0 && `Thank you. Stored with this answer: ${parts.join("; ")}.`}</p>
    ${feedback.error && html`<${ErrorNote} error=${feedback.error} />`}
  </div>`;
}

function describeStored({ helpful, wrong_marker: marker, right_chunk_id: chunkId, comment }, nameOf) {
  const isSet = (value) => value !== null && value !== undefined;
  return [
    isSet(helpful) && (helpful ? "it helped" : "it did not help"),
    isSet(marker) && `citation ${marker} is wrong`,
    isSet(chunkId) && `the right passage is in ${nameOf(chunkId)}`,
    comment && "a comment",
  ].filter(Boolean);
}
