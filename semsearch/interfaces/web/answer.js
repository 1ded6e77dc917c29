// One turn of a conversation: the question, the answer with the support of each sentence, citations and passages.

import { formatCount, formatNumber, formatUsd, html, Passage, Spinner, useLayoutEffect, useRef, useState, viewUrl } from "./app.js";
import { copyText, describePlace, formatMarkdown, formatPlain } from "./copy_answer.js";
import { FeedbackButton, FeedbackRow, useFeedback } from "./feedback.js";

/** Shape, word, colour class and explanation of each verdict. */
const SUPPORT = new Map([
  ["verbatim", ["✓", "copied", "good", "The sentence stands in the source, word for word."]],
  ["supported", ["✓", "supported", "good", "The cited words say this."]],
  ["partial", ["◐", "partly supported", "warn", "The cited words say a part of this. Read them before you rely on it."]],
  ["unsupported", ["✕", "not supported", "bad", "No cited words say this."]],
  ["contradicted", ["⇄", "contradicted", "bad", "The cited words say something else."]],
  ["not_checked", ["○", "not checked", "", "Nobody has compared this sentence with its source."]],
]);

const REASONS = new Map([
  ["no_match", "No document has anything close to the question. Use other words, or remove a filter."],
  ["low_score", "The passages below are close to the question, but none of them clearly answers it."],
  ["unsupported", "The model's answer was not supported by the passages, so it is not shown."],
  ["not_cited", "The model's answer named no source, so it is not shown."],
  ["empty_collection", "The collection has no documents yet. Add some, then ask again."],
]);

const CHANGES = new Map([
  ["edited", "The source was edited since: these words are no longer in it."],
  ["moved", "The source was edited since: these words now stand at another place in it."],
  ["gone", "The source was deleted since."],
]);

export function Turn({ turn, conversation, isLast, onOpen }) {
  const { status, question, answer, text, passages } = turn;
  const isBroken = status === "failed" || status === "stopped";
  const article = useRef(null);
  const wasStreaming = useRef(status === "streaming");
  useLayoutEffect(() => { if (wasStreaming.current) article.current.scrollIntoView({ block: "start" }); }, []);
  useLayoutEffect(() => { if (wasStreaming.current) scrollToTop(article.current); }, [status, Boolean(text)]);
  return html`<article ref=${article} class="turn stack" aria-busy=${status === "streaming"}>
    <h2 class="question">${question}</h2>
    ${answer ? html`<${AnswerBody} turn=${turn} answer=${answer} conversation=${conversation} isLast=${isLast} onOpen=${onOpen} />`
      : html`<${PartialLabel} status=${status} isStale=${turn.isStale} hasText=${Boolean(text)} />
        ${text && html`<p class="passage answer">${text}</p>`}
        ${status === "recorded" && !text && html`<p class="muted">There was no answer in the documents.</p>`}`}
    ${status === "streaming" && html`<${Spinner} label=${describeProgress(turn)} />`}
    ${isBroken && html`<${Broken} turn=${turn} conversation=${conversation} />`}
    ${!answer && passages.length > 0 && html`<${Passages} passages=${passages} collection=${conversation.collection} onOpen=${onOpen}
      isOpen=${!text && status === "streaming"} />`}
  </article>`;
}

/** Put a turn that has grown to the top, unless the reader has scrolled away from it. */
function scrollToTop(article) {
  const { top } = article.getBoundingClientRect();
  if (top > 0 && top < window.innerHeight) article.scrollIntoView({ block: "start" });
}

const describeProgress = ({ text, passages, isStale }) => (isStale ? "Asking again" : text ? "Writing; sentences are checked" : passages.length ? "Reading the passages" : "Searching");

function PartialLabel({ status, hasText, isStale }) {
  if (status === "recorded") return html`<p class="row"><span class="badge">Earlier answer, without its citations</span></p>`;
  if ((status === "streaming" && !isStale) || !hasText) return null;
  return html`<p class="row"><span class="badge bad">Incomplete answer, not checked</span></p>`;
}

function Broken({ turn, conversation }) {
  const retry = () => conversation.retry(turn);
  const kept = turn.text && html`<p>The text above is what had arrived; its sentences were not all checked.</p>`;
  if (turn.status === "stopped") {
    return html`<div class="note stack tight"><p>You stopped this answer.</p>${kept}
      <div><button class="button" disabled=${conversation.isStreaming} onClick=${retry}>Ask again</button></div></div>`;
  }
  const { title, detail, retryAfter } = turn.error;
  return html`<div class="note error stack tight" role="alert"><p><strong>${title ?? "The answer is incomplete"}</strong></p>
    <p>${detail ?? turn.error.message}</p>${kept}
    ${retryAfter && html`<p class="muted">Try again in ${formatCount(retryAfter, "second")}.</p>`}
    <div><button class="button" disabled=${conversation.isStreaming} onClick=${retry}>Retry</button></div></div>`;
}

function AnswerBody({ turn, answer, conversation, isLast, onOpen }) {
  const { collection } = conversation;
  const onStored = (feedback) => conversation.change(turn.key, { feedback });
  const feedback = useFeedback(answer.id, turn.feedback, onStored);
  const nameOf = (chunkId) => {
    const hit = answer.hits.find(({ chunk_id: id }) => id === chunkId);
    return hit ? `“${describePlace(hit)}”` : `passage ${chunkId}`;
  };
  const parts = { answer, collection, feedback, onOpen };
  return html`
    <${AnswerLabel} answer=${answer} />
    ${answer.reason && html`<p>${REASONS.get(answer.reason) ?? answer.reason}</p>`}
    ${answer.answer && html`<${AnswerText} ...${parts} />`}
    ${!answer.complete && html`<p class="note warn">The model stopped before the end of its answer. Ask for a shorter answer, or allow more tokens.</p>`}
    ${answer.warnings.length > 0 && html`<ul class="note warn stack tight" aria-label="Warnings">${answer.warnings.map((warning) => html`<li key=${warning}>${warning}</li>`)}</ul>`}
    ${answer.citations.length > 0 && html`<${Citations} ...${parts} changes=${turn.changes} />`}
    <${Passages} passages=${answer.passages} hits=${answer.hits} collection=${collection} onOpen=${onOpen} feedback=${feedback}
      isOpen=${answer.kind === "passages" && isLast} />
    <div class="row spread turn-end"><${FeedbackRow} feedback=${feedback} nameOf=${nameOf} />
      ${answer.answered && html`<${CopyButtons} collection=${collection} question=${turn.question} answer=${answer} />`}</div>
    <p class="meta"><span>${describeUsage(answer.usage)}</span></p>`;
}

/** What is shown, in words, and how sure the ranking is. */
function AnswerLabel({ answer }) {
  const [kind, label] = describeKind(answer);
  const doubtful = answer.sentences.filter(({ support }) => support === "unsupported" || support === "contradicted").length;
  return html`<p class="row"><span class=${`badge ${kind}`}>${label}</span>
    ${doubtful > 0 && html`<span class="badge bad">${doubtful} of ${formatCount(answer.sentences.length, "sentence")} not supported</span>`}
    ${answer.approved && html`<span class="badge good">Approved on ${answer.approved.date}</span>`}
    ${answer.escalated && html`<span class="badge warn">Handed over to a person</span>`}
    ${answer.kind !== "passages" && html`<span class="muted small-text" title=${`Estimated probability that the best excerpt answers the question: ${Math.round(answer.confidence * 100)} %`}>
      Confidence: ${describeConfidence(answer.confidence)}</span>`}</p>`;
}

function describeKind({ kind, model, citations }) {
  if (kind === "generated") {
    return citations.length ? ["good", `Answer by ${model}, citations verified`] : ["warn", `Answer by ${model}, without a source`];
  }
  return kind === "excerpt" ? ["good", "Best excerpt"] : ["warn", "Closest passages; none clearly answers this"];
}

function describeConfidence(value) {
  const words = value >= 0.85 ? "high" : value >= 0.6 ? "medium" : "low";
  return `${words} (${Math.round(value * 100)} %)`;
}

function AnswerText({ answer, onOpen, collection }) {
  const { sentences } = answer;
  if (!sentences.length) return html`<p class="passage answer">${answer.answer}</p>`;
  const context = sentences.length === 1 && sentences[0].context;
  const byMarker = new Map(answer.citations.map((citation) => [citation.marker, citation]));
  const parts = locateSentences(answer.answer, sentences);
  return html`<div class="passage answer">${context && html`<span class="muted">${context}${"\n"}</span>`}
    ${parts.map(({ gap, sentence }) => html`${gap}${sentence && html`<${SentenceView} sentence=${sentence} byMarker=${byMarker} onOpen=${onOpen} collection=${collection} />`}`)}</div>`;
}

/** Return the sentences with the text before each; the last item is the text behind them. */
function locateSentences(text, sentences) {
  let position = 0;
  const parts = sentences.map((sentence) => {
    const own = sentence.text.trim();
    const start = text.indexOf(own, position);
    if (start < 0) return { gap: "", sentence: null };
    const gap = text.slice(position, start);
    position = start + own.length;
    return { gap, sentence: { ...sentence, text: own } };
  });
  return [...parts, { gap: text.slice(position), sentence: null }];
}

function SentenceView({ sentence, byMarker, onOpen, collection }) {
  const [shape, word, colour, explanation] = SUPPORT.get(sentence.support) ?? ["○", sentence.support, "", ""];
  const { text, markers } = splitMarkers(sentence);
  const inText = new Set(markers.map(({ marker }) => marker));
  const rest = sentence.citations.filter((marker) => !inText.has(marker));
  const button = (marker) => html`<${MarkerButton} citation=${byMarker.get(marker)} marker=${marker} onOpen=${onOpen} collection=${collection} />`;
  let position = 0;
  const pieces = markers.map(({ marker, start, end }) => {
    const piece = [text.slice(position, start), button(marker)];
    position = end;
    return piece;
  });
  return html`<span class=${`sentence ${sentence.support}`}>${pieces}${text.slice(position)}</span>${rest.map(button)}
    <span class=${`support ${colour}`} title=${explanation}><span aria-hidden="true">${shape}</span> ${word}</span>`;
}

/** Return the places of the markers of a sentence. Those of a copied one are at its end: its text may have brackets too. */
function splitMarkers({ text, support, citations }) {
  const found = [...text.matchAll(/(?<=^|[\s\]])\[(\d+)\]/g)].map((match) => ({ marker: Number(match[1]), start: match.index, end: match.index + match[0].length }));
  const known = found.filter(({ marker }) => citations.includes(marker));
  return { text, markers: support === "verbatim" ? known.slice(-citations.length) : known };
}

function MarkerButton({ citation, marker, onOpen, collection }) {
  if (!citation) return ` [${marker}]`;
  return html`<button class="marker" aria-label=${`Citation ${marker}: open ${describePlace(citation)}`}
    title=${describePlace(citation)} onClick=${() => onOpen(makeTarget(collection, citation))}>${marker}</button>`;
}

/** Return what the source panel shows: the words of a citation, or a passage with its best part marked in it. */
const makeTarget = (collection, { uri, start, end, best, content_sha256: contentSha256 }) =>
  ({ collection, uri, start, end, ...(best && { cited: [best] }), ...(contentSha256 && { contentSha256 }) });

/** A link to a passage: a plain click opens it beside the answer, with a modifier key the browser opens its page. */
function SourceLink({ collection, source, onOpen, children }) {
  const open = (event) => {
    if (event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    onOpen(makeTarget(collection, source));
  };
  return html`<a href=${viewUrl(collection, source.uri, source.start, source.end)} onClick=${open}>${children}</a>`;
}

function SourceHeading({ source, collection, onOpen }) {
  const headings = (source.heading ?? "").split(" › ").filter((heading) => heading && heading !== source.title);
  const places = [source.uri !== source.title && source.uri, headings.join(" › "), source.page !== null && `page ${source.page}`].filter(Boolean);
  return html`<div><${SourceLink} collection=${collection} source=${source} onOpen=${onOpen}>${source.title || source.uri}<//>
    <p class="meta">${places.map((place) => html`<span key=${place}>${place}</span>`)}</p></div>`;
}

function Citations({ answer, collection, feedback, changes, onOpen }) {
  return html`<section class="stack tight"><h3>Citations</h3>
    <ol class="citations">${answer.citations.map((citation) => {
      const change = changes.find(({ marker }) => marker === citation.marker)?.change;
      return html`<li key=${citation.marker}><span class="marker-number" aria-hidden="true">${citation.marker}</span>
        <div class="stack tight"><${SourceHeading} source=${citation} collection=${collection} onOpen=${onOpen} />
          ${!isExcerpt(answer, citation) && html`<blockquote class="passage">${citation.quote}</blockquote>`}
          ${change && html`<p class="note warn">${CHANGES.get(change) ?? change}</p>`}
          <div><${FeedbackButton} feedback=${feedback} fields=${{ wrong_marker: citation.marker }} label="Wrong citation"
            description=${`Wrong citation ${citation.marker}: it does not support its sentence`} /></div></div></li>`;
    })}</ol></section>`;
}

/** Return whether the answer is the quote, which then needs no second place. */
const isExcerpt = ({ kind, answer }, { quote }) => kind === "excerpt" && answer.startsWith(quote);

function Passages({ passages, hits = [], collection, feedback, isOpen, onOpen }) {
  if (!passages.length) return null;
  return html`<details open=${isOpen}><summary>Closest passages (${passages.length})</summary>
    <ol class="list">${passages.map((passage) => {
      const chunkId = findChunk(passage, hits);
      return html`<li key=${`${passage.uri} ${passage.start}`} class="card stack tight">
        <${SourceHeading} source=${passage} collection=${collection} onOpen=${onOpen} />
        <${Passage} text=${passage.text} marks=${[{ ...passage.best, kind: "best" }]} offset=${passage.start} />
        ${feedback && chunkId !== null && html`<div><${FeedbackButton} feedback=${feedback} fields=${{ right_chunk_id: chunkId }}
          label="This is the right passage" description=${`This is the right passage: ${describePlace(passage)}`} /></div>`}
      </li>`;
    })}</ol></details>`;
}

/** Return the id of the hit that has most of the best part of a passage, else null. */
function findChunk({ uri, best }, hits) {
  const shared = (hit) => Math.min(hit.end, best.end) - Math.max(hit.start, best.start);
  const own = hits.filter((hit) => hit.uri === uri && shared(hit) > 0).sort((a, b) => shared(b) - shared(a));
  return own[0]?.chunk_id ?? null;
}

function CopyButtons({ collection, question, answer }) {
  const [state, setState] = useState({ message: "", text: null });
  const copy = async (format, name) => {
    const text = format(collection, question, answer);
    const isCopied = await copyText(text);
    setState(isCopied ? { message: `Copied as ${name}.`, text: null } : { message: "The browser does not allow copying. Copy this text:", text });
  };
  return html`<div class="stack tight"><div class="row" role="group" aria-label="Copy with citations"><span class="label">Copy with citations</span>
      <button class="button small" onClick=${() => copy(formatMarkdown, "Markdown")}>Markdown</button>
      <button class="button small" onClick=${() => copy(formatPlain, "plain text")}>Plain text</button></div>
    <p role="status" class="small-text muted">${state.message}</p>
    ${state.text && html`<textarea readonly rows="6" aria-label="Text to copy" value=${state.text} onFocus=${(event) => event.target.select()} />`}
  </div>`;
}

function describeUsage({ prompt_tokens: prompt, completion_tokens: completion, embedding_tokens: embedding, cost_usd: cost, estimated }) {
  if (!prompt && !completion && !embedding) return "No model server was used: no tokens, no cost";
  const tokens = [[prompt, "in"], [completion, "out"], [embedding, "embedded"]].filter(([count]) => count);
  const counts = tokens.map(([count, name]) => `${formatNumber(count)} ${name}`).join(", ");
  const price = cost === null ? "cost unknown: no price is set for this model" : `cost ${formatUsd(cost)}`;
  return `Tokens: ${counts}; ${price}${estimated ? " (estimated)" : ""}`;
}
