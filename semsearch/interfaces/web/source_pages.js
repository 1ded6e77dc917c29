// A page of a PDF file as an image, with rectangles over the words of a passage.

import {
  announce, api, collectionPath, html, isAborted, Spinner, useEffect, useLayoutEffect, useMemo, useRef, useState,
} from "./app.js";

const ZOOMS = [1, 1.5, 2, 3];
const MIN_IMAGE_PIXELS = 200, MAX_IMAGE_PIXELS = 2000, IMAGE_STEP_PIXELS = 200;
const MAX_SPANS = 20, MAX_SPAN_CHARACTERS = 20_000; // the latter is that of the API
const A4_RATIO = 595 / 842;
const REASONS_TO_STAY = new Set([404, 409, 415, 422]); // no second attempt changes them

/** Return the pages with the rectangles of the spans, and the page to begin with. */
function useRectangles(collection, uri, spans) {
  const [state, setState] = useState({ pages: [], isLoading: spans.length > 0, error: null });
  useEffect(() => {
    if (!spans.length) return undefined;
    const controller = new AbortController();
    const path = `${collectionPath(collection, "documents", uri)}/rectangles`;
    const { signal } = controller;
    const requests = spans.slice(0, MAX_SPANS).map(({ start, end }) =>
      api.get(path, { query: { start, end: Math.min(end, start + MAX_SPAN_CHARACTERS) }, signal }));
    Promise.all(requests).then(
      (replies) => setState({ pages: joinPages(replies.flatMap(({ pages }) => pages)), isLoading: false, error: null }),
      (error) => !isAborted(error) && setState({ pages: [], isLoading: false, error }),
    );
    return () => controller.abort();
  }, []);
  return state;
}

/** Return one entry for each page, in order, with all of its rectangles. */
function joinPages(pages) {
  const byNumber = new Map();
  for (const page of pages) {
    const known = byNumber.get(page.page)?.rectangles ?? [];
    byNumber.set(page.page, { ...page, rectangles: [...known, ...page.rectangles] });
  }
  return [...byNumber.values()].sort((first, second) => first.page - second.page);
}

/** Return the width of an element in pixels, which is followed. */
function useWidth(ref) {
  const [width, setWidth] = useState(0);
  useLayoutEffect(() => {
    const observer = new ResizeObserver(([entry]) => setWidth(Math.round(entry.contentRect.width)));
    observer.observe(ref.current);
    return () => observer.disconnect();
  }, []);
  return width;
}

/** Return the address of an image that is fetched once, and null until it is here: an image element does not say why it
    failed. The next image, and leaving the page, end the request. */
function useImage(path, isReady, onFailed) {
  const [address, setAddress] = useState(null);
  useEffect(() => {
    if (!isReady) return undefined;
    const controller = new AbortController();
    api.get(path, { signal: controller.signal }).then(
      (blob) => controller.signal.aborted || setAddress(URL.createObjectURL(blob)),
      (error) => isAborted(error) || onFailed(error),
    );
    return () => controller.abort();
  }, [path, isReady]);
  useEffect(() => () => URL.revokeObjectURL(address), [address]);
  return address;
}

/** `shown` is a place whose page was chosen elsewhere, `textPage` that of the passage in the stored text, `lastPage` of the end. */
export function PdfPages({ collection, uri, spans, shown, textPage, lastPage }) {
  const { pages, isLoading, error } = useRectangles(collection, uri, spans);
  const [page, setPage] = useState(null);
  const [zoom, setZoom] = useState(0);
  const [end, setEnd] = useState(null);
  const [failure, setFailure] = useState(null);
  const hasShown = useRef(false);
  useEffect(() => { if (shown?.page) setPage(shown.page); }, [shown]);
  const passagePage = pages[0]?.page ?? textPage ?? 1;
  const current = page ?? passagePage;
  const marked = pages.find((item) => item.page === current && item.rectangles.length);
  const isPlaced = pages.some(({ rectangles }) => rectangles.length); // words may lie outside of their page
  const go = (number) => { setPage(number); announce(`Page ${number}`); };
  const show = () => { hasShown.current = true; setFailure(null); };
  const fail = (problem) => {
    if (problem.status !== 404 || !hasShown.current || current === 1) return setFailure(problem);
    setEnd(current - 1); // the file has no more pages
    setPage(current - 1);
    return announce("This is the last page");
  };
  const change = (step) => { setZoom(zoom + step); announce(`${ZOOMS[zoom + step] * 100} percent`); };
  const known = end ?? lastPage;
  return html`<section class="stack tight" aria-label="Page of the file">
    <div class="row" role="group" aria-label="Pages">
      <button class="button small" disabled=${current <= 1} onClick=${() => go(current - 1)} aria-label="Previous page">←</button>
      <span class="small-text">Page ${current}${known && current <= known ? ` of ${known}` : ""}</span>
      <button class="button small" disabled=${end !== null && current >= end} onClick=${() => go(current + 1)}
        aria-label="Next page">→</button>
      ${current !== passagePage && spans.length > 0 && html`<button class="button small quiet" onClick=${() => go(passagePage)}>
        Back to the passage</button>`}
      <span class="push row"><button class="button small" disabled=${zoom === 0} onClick=${() => change(-1)} aria-label="Zoom out">−</button>
      <button class="button small" disabled=${zoom === ZOOMS.length - 1} onClick=${() => change(1)} aria-label="Zoom in">+</button></span>
    </div>
    ${failure && html`<div class="note stack tight" role="alert"><p><strong>The page cannot be shown, only its text.</strong></p>
      <p>${failure.detail}</p>${!REASONS_TO_STAY.has(failure.status) && html`<div>
        <button class="button small" onClick=${() => setFailure(null)}>Try again</button></div>`}</div>`}
    ${error && !failure && html`<p class="note small-text">The words cannot be marked on the page: ${error.detail}</p>`}
    ${!error && !failure && !isLoading && spans.length > 0 && !isPlaced && html`<p class="note small-text">Where the words are on the
      page is not known. The text has them marked. If the file was added by an earlier version, add it again to see them on the page.</p>`}
    ${!failure && html`<${PageImage} key=${current} path=${`${collectionPath(collection, "documents", uri)}/pages/${current}.png`} page=${current}
      marked=${marked} zoom=${ZOOMS[zoom]} isReady=${!isLoading} onShown=${show} onFailed=${fail} />`}
  </section>`;
}

function PageImage({ path, page, marked, zoom, isReady, onShown, onFailed }) {
  const box = useRef(null), sheet = useRef(null), overlay = useRef(null);
  const width = useWidth(box);
  const [ratio, setRatio] = useState(null);
  const placedZoom = useRef(null);
  const shape = marked ? marked.width / marked.height : ratio ?? A4_RATIO;
  useLayoutEffect(() => {
    sheet.current.style.width = `${zoom * 100}%`;
    sheet.current.style.aspectRatio = String(shape);
  }, [zoom, shape]);
  useEffect(() => { // once for each zoom: in between the reader scrolls
    if (placedZoom.current === zoom || !marked || !width || !overlay.current) return;
    placedZoom.current = zoom;
    scrollToPassage(box.current, overlay.current.querySelector("rect"));
  }, [marked, width, zoom]);
  const pixels = width * zoom * (window.devicePixelRatio || 1);
  const source = useMemo(() => {
    const stepped = Math.ceil(pixels / IMAGE_STEP_PIXELS) * IMAGE_STEP_PIXELS;
    return `${path}?width=${Math.min(MAX_IMAGE_PIXELS, Math.max(MIN_IMAGE_PIXELS, stepped))}`;
  }, [path, Math.ceil(pixels / IMAGE_STEP_PIXELS)]);
  const address = useImage(source, isReady && width > 0, onFailed);
  const load = ({ target }) => {
    setRatio(target.naturalWidth / target.naturalHeight);
    onShown();
  };
  const fail = () => onFailed({ detail: "Its image is damaged. Try again." });
  const alt = `Page ${page} of the file as an image${marked ? ", with the words of the passage marked" : ""}; its text follows`;
  return html`<div class="pdf-box" ref=${box} tabindex="0" role="group" aria-label=${`Page ${page}`}>
    <div class="pdf-sheet" ref=${sheet}>
      ${!ratio && html`<${Spinner} label="Loading the page" />`}
      ${address && html`<img src=${address} alt=${alt} onLoad=${load} onError=${fail} />`}
      ${marked && html`<svg ref=${overlay} viewBox=${`0 0 ${marked.width} ${marked.height}`} preserveAspectRatio="none" aria-hidden="true">
        ${marked.rectangles.map(([x0, y0, x1, y1]) => html`<rect key=${`${x0} ${y0}`} x=${x0 - 1} y=${y0 - 1} width=${x1 - x0 + 2}
          height=${y1 - y0 + 2} />`)}</svg>`}
    </div></div>`;
}

/** Scroll the box of the page, and the panel or window around it, to a rectangle of the passage. */
function scrollToPassage(box, rectangle) {
  const { top, left } = rectangle.getBoundingClientRect();
  const inner = box.getBoundingClientRect();
  box.scrollLeft += left - inner.left - 24;
  if (box.scrollHeight > box.clientHeight + 1) box.scrollTop += top - inner.top - box.clientHeight / 3;
  const panel = box.closest(".source-scroll");
  const visible = rectangle.getBoundingClientRect();
  if (panel) panel.scrollTop += visible.top - panel.getBoundingClientRect().top - panel.clientHeight / 3;
  else if (visible.bottom > window.innerHeight) window.scrollBy(0, visible.top - window.innerHeight / 3);
}
