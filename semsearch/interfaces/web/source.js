// A document at a passage: the panel beside results and answers, and the page of its own at /view.
// Only the text around the passage is loaded; "earlier" and "later" load more.

import {
  announce, api, collectionPath, ErrorNote, formatCount, formatNumber, html, isAborted, Link, parseViewPath, Spinner, useEffect,
  useErrorBoundary, useIsWide, useLayoutEffect, useLocation, useMemo, useRef, useState, useTitle, viewUrl,
} from "./app.js";
import { SimilarDocuments } from "./similar.js";
import { Blocks, cutBlock } from "./source_blocks.js";
import { PdfPages } from "./source_pages.js";

const CHARACTERS_BEFORE = 4_000, CHARACTERS_AFTER = 8_000, MORE_CHARACTERS = 20_000;
const MAX_PASSAGE_CHARACTERS = 30_000;
const OVERLAP_CHARACTERS = 900; // a long block is cut at a line, up to 800 characters from the end of a request
const COPIED_SECONDS = 3;

// ------------------------------------------------------------------------------------------------ Reading of parts

/** Read the part of a document around a span, and more of it on demand. */
function useDocument(collection, uri, start, end) {
  const path = `${collectionPath(collection, "documents", uri)}/blocks`;
  const [state, setState] = useState({ info: null, blocks: [], error: null, isLoading: true });
  const controller = useRef(null);

  const read = async (from, to, join) => {
    const { signal } = controller.current;
    setState((previous) => ({ ...previous, isLoading: true, error: null }));
    try {
      const { blocks, ...info } = await api.get(path, { query: { start: Math.max(0, from), end: to }, signal });
      setState((previous) => ({ info, blocks: join(previous.blocks, blocks), error: null, isLoading: false }));
    } catch (error) {
      if (!isAborted(error)) setState((previous) => ({ ...previous, error, isLoading: false }));
    }
  };
  const readAround = (from, to) => read(from - CHARACTERS_BEFORE,
    Math.min(to, from + MAX_PASSAGE_CHARACTERS) + CHARACTERS_AFTER, (_, blocks) => blocks);
  useEffect(() => {
    controller.current = new AbortController();
    readAround(start ?? 0, end ?? 0);
    return () => controller.current.abort();
  }, []);

  const first = state.blocks[0]?.start ?? 0, last = state.blocks.at(-1)?.end ?? 0;
  return {
    ...state,
    hasEarlier: first > 0,
    hasLater: state.info !== null && last < state.info.characters,
    readAround,
    retry: () => readAround(start ?? 0, end ?? 0),
    readEarlier: () => read(first - MORE_CHARACTERS, first + OVERLAP_CHARACTERS, (known, blocks) =>
      [...blocks.map((block) => cutBlock(block, 0, first)).filter(Boolean), ...known]),
    readLater: () => read(last - OVERLAP_CHARACTERS, last + MORE_CHARACTERS, (known, blocks) =>
      [...known, ...blocks.map((block) => cutBlock(block, last, Infinity)).filter(Boolean)]),
  };
}

/** Return the marks of a passage and of the words that are cited in it: a citation, spans, or nothing. */
function makeMarks(start, end, cited) {
  const spans = [cited ?? []].flat().filter((span) => Number.isInteger(span.start) && span.end > span.start);
  const passage = start === undefined || end <= start ? [] : [{ start, end, kind: spans.length ? "best" : "cited" }];
  return [...passage, ...spans.map((span) => ({ start: span.start, end: span.end, kind: "cited" }))];
}

// ----------------------------------------------------------------------------------------------------- The document

/** The document; `topLevel` is the level of its first heading, `isWide` puts the page of a file beside the text. */
function DocumentBody({ collection, uri, start, end, cited, contentSha256, query, topLevel, isWide, onInfo }) {
  const source = useDocument(collection, uri, start, end);
  const { info, blocks, error, isLoading } = source;
  const marks = useMemo(() => makeMarks(start, end, cited), [start, end, cited]);
  const spans = useMemo(() => {
    const exact = marks.filter(({ kind }) => kind === "cited");
    return exact.length ? exact : marks;
  }, [marks]);
  const [target, setTarget] = useState(null);
  const text = useRef(null);
  const isPdf = info?.media_type === "application/pdf";
  useEffect(() => { if (info) onInfo(info); }, [info?.title]);
  const isBeside = isPdf && isWide;
  usePlacing(text, blocks, target, isPdf && !isBeside ? null : spans[0]);
  const goTo = (entry) => {
    const isKnown = blocks.some((block) => block.start === entry.start);
    setTarget({ ...entry });
    if (!isKnown) source.readAround(entry.start, entry.start);
  };
  const goToPassage = () => goTo({ start, page: null, isPassage: true });
  if (error && !blocks.length) return html`<${MissingDocument} error=${error} onRetry=${source.retry} collection=${collection} />`;
  if (!info) return html`<${Spinner} label="Loading the document" />`;
  const hasChanged = contentSha256 && contentSha256 !== info.content_sha256;
  const isPassageShown = start === undefined || blocks.some((block) => block.start < end && block.end > start);
  const textPage = blocks.find((block) => block.start < (end ?? 1) && block.end > (start ?? 0))?.page;
  return html`<div class="stack">
    ${hasChanged && html`<p class="note warn" role="note"><strong>This document has changed since it was cited.</strong> The marks show
      where the cited words were; they may be elsewhere now, or gone. Ask again to cite the new text.</p>`}
    ${info.characters > 0 && start >= info.characters && html`<p class="note warn">The link leads behind the end of this document;
      it was probably shortened since. The end is shown.</p>`}
    <${Actions} collection=${collection} uri=${uri} start=${start} end=${end} />
    <${Contents} entries=${info.contents} onChoose=${goTo} />
    <div class=${isBeside ? "with-panel" : "stack"}>
      ${isPdf && html`<div class="pdf-column"><${PdfPages} collection=${collection} uri=${uri} spans=${spans} shown=${target}
        textPage=${textPage} lastPage=${info.last_page} /></div>`}
      <section class=${isBeside ? "source-text source-scroll stack beside" : "source-text stack"} tabindex=${isBeside ? 0 : undefined}
        aria-label="Text of the document" ref=${text}>
        ${!isPassageShown && html`<div><button class="button small" onClick=${goToPassage}>Back to the passage</button></div>`}
        ${source.hasEarlier && html`<${More} label="Show earlier text" isLoading=${isLoading} onClick=${source.readEarlier} />`}
        <${Blocks} blocks=${blocks} mediaType=${info.media_type} marks=${marks} query=${query} topLevel=${topLevel} />
        ${error && html`<${ErrorNote} error=${error} />`}
        ${source.hasLater && html`<${More} label="Show later text" isLoading=${isLoading} onClick=${source.readLater} />`}
      </section></div>
    <${Details} info=${info} />
    <${SimilarDocuments} collection=${collection} uri=${uri} level=${topLevel} />
  </div>`;
}

const More = ({ label, isLoading, onClick }) => html`<div><button class="button small" disabled=${isLoading} onClick=${onClick}>
  ${label}</button></div>`;

/** Scroll to the passage, if there is one, when the text is first shown, and to a heading that was chosen; keep the place when
    text is put in front. */
function usePlacing(text, blocks, target, passage) {
  const before = useRef({ first: null, height: 0 });
  const placed = useRef(null);
  const wanted = target ?? passage ?? null;
  useLayoutEffect(() => {
    if (!text.current || !blocks.length) return;
    const scroller = text.current.closest(".source-scroll") ?? document.scrollingElement;
    const { first, height } = before.current;
    if (first !== null && blocks[0].start < first && placed.current === wanted) scroller.scrollTop += scroller.scrollHeight - height;
    before.current = { first: blocks[0].start, height: scroller.scrollHeight };
    if (!wanted || placed.current === wanted) return;
    const isChosen = wanted === target && !target.isPassage;
    const element = isChosen ? text.current.querySelector(`[data-start="${wanted.start}"]`)
      : text.current.querySelector("mark.cited, .row-cited") ?? text.current.querySelector("mark.best, .row-best");
    if (!element) return; // its text is being loaded
    placed.current = wanted;
    if (isChosen) element.focus({ preventScroll: true });
    scrollTo(scroller, element, isChosen ? 0.1 : 0.3);
  });
}

/** Scroll so that an element is at this share of the height. */
function scrollTo(scroller, element, share) {
  const isWindow = scroller === document.scrollingElement;
  const top = isWindow ? 0 : scroller.getBoundingClientRect().top;
  const height = isWindow ? window.innerHeight : scroller.clientHeight;
  scroller.scrollTop += element.getBoundingClientRect().top - top - height * share;
}

function MissingDocument({ error, onRetry, collection }) {
  const address = `?collection=${encodeURIComponent(collection)}`;
  const shown = error.status === 404 ? { title: "The document cannot be found", detail: error.detail } : error;
  return html`<div class="stack"><${ErrorNote} error=${shown} onRetry=${[403, 404, 422].includes(error.status) ? null : onRetry} />
    ${error.status === 404 && html`<p>The document may have been renamed or removed since the link was made.${" "}
      <${Link} href=${`/documents${address}`}>See the documents<//> or <${Link} href=${`/${address}`}>search for it<//>.</p>`}
    ${error.status === 422 && html`<p>The link is damaged: its positions are not valid. Open the document without them, or search again.</p>`}
  </div>`;
}

function Contents({ entries, onChoose }) {
  if (entries.length < 2) return null;
  return html`<details class="source-contents"><summary>Contents (${formatCount(entries.length, "heading")})</summary>
    <nav aria-label="Contents of the document"><ol>${entries.map((entry) => html`<li key=${entry.start} class=${`level-${Math.min(4, entry.level)}`}>
      <button class="button quiet small" onClick=${() => onChoose(entry)}>${entry.title || "(without text)"}</button></li>`)}</ol></nav></details>`;
}

function Actions({ collection, uri, start, end }) {
  const [copied, setCopied] = useState(false);
  const [error, setError] = useState(null);
  const [isOpening, setIsOpening] = useState(false);
  const original = `${collectionPath(collection, "documents", uri)}/original`;
  useEffect(() => {
    const timer = copied && setTimeout(() => setCopied(false), COPIED_SECONDS * 1000);
    return () => clearTimeout(timer);
  }, [copied]);
  const copy = async () => {
    const isCopied = await copyText(window.location.origin + viewUrl(collection, uri, start, end));
    setCopied(isCopied);
    if (isCopied) announce("Link copied");
    else setError({ title: "The link cannot be copied", detail: "The browser does not allow it. Copy the address of the page in its address bar." });
  };
  const openOriginal = async (event) => {
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    setError(null);
    setIsOpening(true);
    const problem = await findProblem(original);
    setIsOpening(false);
    if (problem) setError({ title: "The original cannot be opened", detail: problem.detail });
    else window.open(original, "_blank", "noopener");
  };
  return html`<div class="stack tight"><div class="row">
    <a class="button small" href=${original} target="_blank" rel="noopener" aria-busy=${isOpening} onClick=${openOriginal}>Open original</a>
    <button class="button small" onClick=${copy}>${copied ? "Link copied" : "Copy link"}</button></div>
    ${error && html`<${ErrorNote} error=${error} />`}</div>`;
}

/** Return why a file cannot be had, or null; its bytes are left to the window that opens it. */
async function findProblem(path) {
  const controller = new AbortController();
  try {
    await api.open(path, { signal: controller.signal });
    controller.abort();
    return null;
  } catch (error) {
    return error;
  }
}

/** Put a text on the clipboard; return whether that was possible. */
async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch { // no permission, or no secure context
    const area = Object.assign(document.createElement("textarea"), { value: text, className: "visually-hidden" });
    const focused = document.activeElement;
    (focused?.closest("dialog") ?? document.body).append(area);
    area.select();
    const isCopied = document.execCommand("copy");
    area.remove();
    focused?.focus({ preventScroll: true });
    return isCopied;
  }
}

function Details({ info }) {
  const rows = [
    ["Name", info.uri], ["Type", info.media_type], ["Language", info.language], ["Length", formatCount(info.characters, "character")],
    ["Passages", formatNumber(info.chunks)], ...Object.entries(info.metadata).map(([name, value]) => [name, [value].flat().map(String).join(", ")]),
    ["SHA-256 of the text", info.content_sha256],
  ];
  return html`<details><summary>About this document</summary><dl class="source-details">
    ${rows.map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd>${value}</dd></div>`)}</dl></details>`;
}

// --------------------------------------------------------------------------------------------------- Panel and page

/** The document at a passage, beside the main content or, in a narrow window, over it. `cited` are spans, or a citation,
    whose words are marked in the passage; `contentSha256` tells whether the document has changed since it was cited.
    An error of its code leaves the answer or the results beside it as they are. */
export function SourcePanel(props) {
  const { collection, uri, start, end, onClose } = props;
  const [error, reset] = useErrorBoundary((cause) => console.error(cause));
  const note = useRef(null);
  useEffect(() => { if (error) reset(); }, [collection, uri, start, end]);
  useEffect(() => { note.current?.scrollIntoView({ block: "nearest" }); }, [error]); // in a narrow window it is below
  if (!error) return html`<${Panel} ...${props} />`;
  const shown = { title: "The source cannot be shown", detail: "An error of the page; the document is not affected." };
  return html`<aside class="panel stack" aria-label="Source" ref=${note}><${ErrorNote} error=${shown} onRetry=${reset} />
    <p><${Link} href=${viewUrl(collection, uri, start, end)}>Open as a page of its own<//></p>
    <div><button class="button" onClick=${onClose}>Close</button></div></aside>`;
}

function Panel({ collection, uri, start, end, cited, contentSha256, query, onClose }) {
  const isWide = useIsWide();
  const [title, setTitle] = useState(null);
  const frame = useRef(null), heading = useRef(null), opener = useRef(null), scroller = useRef(null);
  const key = JSON.stringify([collection, uri, start, end]);
  useEffect(() => {
    const focused = document.activeElement;
    if (focused !== document.body && !frame.current.contains(focused)) opener.current = focused;
    if (!isWide && !frame.current.open) frame.current.showModal();
    heading.current.focus({ preventScroll: true });
  }, [key, isWide]);
  useEffect(() => () => {
    const hasFocus = document.activeElement === document.body || frame.current?.contains(document.activeElement);
    frame.current?.close?.(); // an open dialog lets nothing else have the focus
    if (hasFocus && opener.current?.isConnected) opener.current.focus({ preventScroll: true });
  }, []);
  useEffect(() => {
    const close = (event) => {
      if (event.key !== "Escape" || event.defaultPrevented || isEditable(event.target)) return;
      if (isWide && document.querySelector("dialog[open]")) return;
      event.preventDefault();
      onClose();
    };
    document.addEventListener("keydown", close);
    return () => document.removeEventListener("keydown", close);
  }, [onClose, isWide]);
  const cancel = (event) => { event.preventDefault(); onClose(); };
  const content = html`<div class="source-header"><div>
      <h2 id="source-title" ref=${heading} tabindex="-1">${title?.key === key ? title.text : uri}</h2>
      <p class="meta"><span>${uri}</span></p></div>
      <button class="button quiet" onClick=${onClose} aria-label="Close the source">Close</button></div>
    <div class="source-scroll" ref=${scroller}>
      <p class="small-text"><${Link} href=${viewUrl(collection, uri, start, end)}>Open as a page of its own<//></p>
      <${DocumentBody} key=${key} collection=${collection} uri=${uri} start=${start} end=${end} cited=${cited} query=${query}
        contentSha256=${contentSha256 ?? cited?.content_sha256} topLevel=${3} onInfo=${(info) => setTitle({ key, text: info.title || uri })} /></div>`;
  if (isWide) return html`<aside class="panel source-panel" aria-labelledby="source-title" ref=${frame}>${content}</aside>`;
  return html`<dialog class="source-panel source-dialog" aria-labelledby="source-title" ref=${frame} onCancel=${cancel}>${content}</dialog>`;
}

const isEditable = (element) => element.matches?.("input:not([type=checkbox], [type=radio]), textarea, select");

/** The page of a document: /view/COLLECTION/URI?start=N&end=N */
export default function SourceView() {
  const { path, params } = useLocation();
  const { collection, uri } = parseViewPath(path) ?? {};
  const isWide = useIsWide();
  const [title, setTitle] = useState(null);
  const heading = useRef(null);
  const start = parseOffset(params.start), end = parseOffset(params.end);
  const key = JSON.stringify([collection, uri, start, end]);
  const name = title?.key === key ? title.text : uri;
  useTitle(name ?? "Source");
  useEffect(() => { heading.current?.focus({ preventScroll: true }); }, [key]);
  const hasPassage = start !== undefined && end !== undefined && end > start;
  return html`<article class="stack source-page">
    <div class="stack tight"><h1 ref=${heading} tabindex="-1">${name}</h1>
      <p class="meta"><span>${collection}</span><span>${uri}</span></p></div>
    <${DocumentBody} key=${key} collection=${collection} uri=${uri} start=${hasPassage ? start : undefined} end=${hasPassage ? end : undefined}
      topLevel=${2} isWide=${isWide} onInfo=${(info) => setTitle({ key, text: info.title || uri })} />
  </article>`;
}

const parseOffset = (text) => (/^\d{1,15}$/.test(text ?? "") ? Number(text) : undefined);
