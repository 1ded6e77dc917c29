// The view "Content gaps": what people asked and did not get, by topic, with the nearest passages. Needs the scope admin.

import {
  announce, api, collectionPath, ErrorNote, explainScope, formatCount, html, isAborted, Link, NeedsCollection, NeedsScope, Spinner,
  useCaller, useCollections, useEffect, useRef, useState, useTitle,
} from "./app.js";
import { PassageLink } from "./similar.js";

const NOT_SERVED = [404, 405];
const REASONS = new Map([
  ["no_match", "No document had anything close to it."],
  ["low_score", "The closest passages did not clearly answer it."],
  ["unsupported", "The model's answer was not supported by the passages."],
  ["not_cited", "The model's answer named no source."],
  ["empty_collection", "The collection had no documents."],
  ["not_helpful", "The answer was said not to help."],
  ["wrong_citation", "A citation was said to be wrong."],
  ["forbidden_topic", "Questions about this topic are not answered."],
  ["person_requested", "A person was asked for."],
]);
const REJECTED = ["not_helpful", "wrong_citation"];
const dateFormat = new Intl.DateTimeFormat("en", { dateStyle: "medium" });
const formatDate = (time) => dateFormat.format(new Date(time));

function useGaps(collection) {
  const [state, setState] = useState({ gaps: null, error: null });
  const controller = useRef(null);
  const load = async () => {
    controller.current?.abort();
    controller.current = new AbortController();
    setState({ gaps: null, error: null });
    try {
      const { gaps } = await api.get("/v1/gaps", { query: { collection }, signal: controller.current.signal });
      setState({ gaps, error: null });
      announce(formatCount(gaps.length, "gap"));
    } catch (error) {
      if (!isAborted(error)) setState({ gaps: null, error });
    }
  };
  useEffect(() => { load(); return () => controller.current.abort(); }, []);
  return { ...state, load };
}

function Gaps({ collection }) {
  const { gaps, error, load } = useGaps(collection);
  if (error && NOT_SERVED.includes(error.status)) return html`<div class="note empty"><p>There is no report of this collection.</p></div>`;
  if (error) return html`<${ErrorNote} error=${error} onRetry=${load} />`;
  if (!gaps) return html`<${Spinner} label="Comparing the questions" />`;
  return html`<p class="muted">Questions to the collection ${collection} that got no answer, or one that was said to be wrong or not to
      help. Similar questions are one gap. A gap is shown if two owners have asked, or if there is only one owner.</p>
    ${!gaps.length && html`<div class="note empty stack tight"><h2>There are no gaps</h2>
      <p>Every question that may be shown here was answered, or nothing was asked yet.</p></div>`}
    <ol class="list" aria-label="Gaps">${gaps.map((gap) => html`<li key=${gap.question}>
      <${GapCard} gap=${gap} collection=${collection} /></li>`)}</ol>`;
}

function GapCard({ gap, collection }) {
  const { question, count, owners, last, reason, reasons, nearest } = gap;
  const others = Object.entries(reasons ?? {}).filter(([name]) => name !== reason);
  return html`<article class="card stack tight"><h2 class="question">${question}</h2>
    <p class="meta"><span>Asked ${count === 1 ? "once" : `${formatCount(count, "time")}`} by ${formatCount(owners, "owner")}</span>
      ${last && html`<span>last on ${formatDate(last)}</span>`}</p>
    <p>${describeReason(reason)}</p>
    ${others.length > 0 && html`<ul class="bullets small-text" aria-label="Other reasons">${others.map(([name, number]) => html`<li key=${name}>
      ${describeReason(name)} (${formatCount(number, "owner")})</li>`)}</ul>`}
    <${Nearest} hits=${nearest ?? []} collection=${collection} />
    <${AskAgain} question=${question} collection=${collection} isRejected=${REJECTED.includes(reason)} />
  </article>`;
}

const describeReason = (reason) => REASONS.get(reason) ?? reason.replaceAll("_", " ");

function Nearest({ hits, collection }) {
  const { can } = useCaller();
  if (!can("search")) return html`<p class="muted small-text">${explainScope("search")}</p>`;
  if (!hits.length) return html`<p class="muted">No passage is near to it.</p>`;
  return html`<details><summary>Nearest passages (${hits.length})</summary><ol class="links">${hits.map((hit) => html`<li key=${hit.chunk_id}>
    <${PassageLink} collection=${collection} hit=${hit} /></li>`)}</ol></details>`;
}

/** Ask the question again, as the caller, and say whether it is answered now: documents may have been added. */
function AskAgain({ question, collection, isRejected }) {
  const { can } = useCaller();
  const [{ answer, error, isBusy }, setState] = useState({ answer: null, error: null, isBusy: false });
  if (!can("ask")) return html`<p class="muted small-text">${explainScope("ask")}</p>`;
  const ask = async () => {
    if (isBusy) return;
    setState({ answer: null, error: null, isBusy: true });
    try {
      const reply = await api.post(collectionPath(collection, "ask"), { question });
      setState({ answer: reply, error: null, isBusy: false });
    } catch (cause) {
      setState({ answer: null, error: cause, isBusy: false });
    }
  };
  return html`<div class="row"><button class="button small" aria-busy=${isBusy} aria-label=${`Ask again: ${question}`} onClick=${ask}>
      ${isBusy ? "Asking…" : "Ask again"}</button>
    <span role="status" class="row">${answer && html`<${Outcome} answer=${answer} isRejected=${isRejected} />`}</span>
    ${answer && html`<${Link} href=${answerUrl(collection, answer)}>${answer.answered ? "Open the answer" : "Open the closest passages"}<//>`}</div>
    ${error && html`<${ErrorNote} error=${error} />`}`;
}

const answerUrl = (collection, { id }) => `/ask?${new URLSearchParams({ collection, answer: id })}`;

function Outcome({ answer, isRejected }) {
  if (!answer.answered) return html`<span class="badge warn">Still not answered</span>`;
  return html`<span class="badge good">Answered now</span>${isRejected && html`<span>Read whether it is better than before.</span>`}`;
}

function GapsContent() {
  const { current } = useCollections();
  return html`<${Gaps} key=${current} collection=${current} />`;
}

export default function GapsView() {
  useTitle("Content gaps");
  return html`<div class="stack"><h1>Content gaps</h1>
    <${NeedsScope} scope="admin" use="Seeing what was not answered"><${NeedsCollection}><${GapsContent} /><//><//></div>`;
}
