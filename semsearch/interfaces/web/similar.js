// The documents that are most like the shown one, read when the reader comes to their place below it.

import { api, collectionPath, ErrorNote, html, isAborted, Link, Spinner, useEffect, useRef, useState, viewUrl } from "./app.js";

const SHOWN_DOCUMENTS = 5;
const MAX_EXCERPT_CHARACTERS = 240;
const NOT_SERVED = [404, 405, 422];

/** Read the documents once the element is visible. */
function useSimilar(collection, uri, place) {
  const [state, setState] = useState({ hits: null, error: null, isLoading: false });
  const controller = useRef(null);
  const load = async () => {
    setState({ hits: null, error: null, isLoading: true });
    try {
      const path = `${collectionPath(collection, "documents", uri)}/similar`;
      const { hits } = await api.get(path, { query: { k: SHOWN_DOCUMENTS }, signal: controller.current.signal });
      setState({ hits, error: null, isLoading: false });
    } catch (error) {
      if (!isAborted(error)) setState({ hits: null, error, isLoading: false });
    }
  };
  useEffect(() => {
    controller.current = new AbortController();
    const observer = new IntersectionObserver((entries) => {
      if (!entries.some(({ isIntersecting }) => isIntersecting)) return;
      observer.disconnect();
      load();
    });
    observer.observe(place.current);
    return () => { observer.disconnect(); controller.current.abort(); };
  }, []);
  return { ...state, load };
}

/** The list; `level` is the level of its heading. */
export function SimilarDocuments({ collection, uri, level }) {
  const place = useRef(null);
  const { hits, error, isLoading, load } = useSimilar(collection, uri, place);
  if (error && NOT_SERVED.includes(error.status)) return null;
  return html`<section class="stack tight" aria-labelledby="similar-title" ref=${place}>
    <${`h${level}`} id="similar-title">Similar documents<//>
    ${isLoading && html`<${Spinner} />`}
    ${error && html`<${ErrorNote} error=${error} onRetry=${load} />`}
    ${hits && !hits.length && html`<p class="muted">There is no other document to compare with.</p>`}
    ${hits?.length > 0 && html`<ol class="links">${hits.map((hit) => html`<li key=${hit.uri}>
      <${PassageLink} collection=${collection} hit=${hit} /></li>`)}</ol>`}
  </section>`;
}

/** A link to a passage, with its place and the beginning of its text. */
export function PassageLink({ collection, hit }) {
  const places = [hit.uri !== hit.title && hit.uri, hit.heading !== hit.title && hit.heading, hit.page !== null && `page ${hit.page}`];
  return html`<div class="stack tight"><${Link} href=${viewUrl(collection, hit.uri, hit.start, hit.end)}>${hit.title || hit.uri}<//>
    <p class="meta">${places.filter(Boolean).map((part) => html`<span key=${part}>${part}</span>`)}</p>
    <p class="small-text muted">${shorten(hit.sentence?.text ?? hit.text)}</p></div>`;
}

/** Return the beginning of a text on one line, up to the end of a word. */
function shorten(text) {
  const line = text.replace(/\s+/g, " ").trim();
  const points = [...line];
  if (points.length <= MAX_EXCERPT_CHARACTERS) return line;
  const beginning = points.slice(0, MAX_EXCERPT_CHARACTERS).join("");
  return `${beginning.replace(/\s\S{0,40}$/, "")}…`;
}
