// The blocks of a document with marks: headings, paragraphs, lists, tables and code, by the place they are in.

import { findMatches, html, makeUnitIndex, MarkedText } from "./app.js";

/** Return the part of a block behind `start` and before `end`, offsets of the document; null if nothing is left. */
export function cutBlock(block, start, end) {
  const from = Math.max(block.start, start), to = Math.min(block.end, end);
  if (from >= to) return null;
  const toUnit = makeUnitIndex(block.text);
  const text = block.text.slice(toUnit(from - block.start), toUnit(to - block.start));
  return from === block.start && to === block.end ? block : { ...block, start: from, end: to, text };
}

/** Return the name of the place where a block is, as people say it: a page, a slide or a sheet. */
export function namePlace(block, mediaType) {
  if (block.sheet !== null) return `Sheet ${block.sheet}`;
  if (block.page === null) return null;
  return `${mediaType.includes("presentation") ? "Slide" : "Page"} ${block.page}`;
}

/** The blocks with `marks`, and the words of `query` in those that are marked. `topLevel` is that of the first heading. */
export function Blocks({ blocks, mediaType, marks, query, topLevel }) {
  let lastPlace = null;
  return blocks.map((block) => {
    const place = namePlace(block, mediaType);
    const isNew = place !== null && place !== lastPlace;
    lastPlace = place;
    const own = marks.filter(({ start, end }) => start < block.end && end > block.start);
    const words = own.length && query ? findMatches(block.text, query, block.start).filter((word) => isInside(word, own)) : [];
    return html`<${PlacedBlock} key=${block.start} block=${block} place=${isNew ? place : null} marks=${[...own, ...words]}
      topLevel=${topLevel} />`;
  });
}

const isInside = (word, marks) => marks.some(({ start, end }) => word.start >= start && word.end <= end);

function PlacedBlock({ block, place, marks, topLevel }) {
  const isSheetName = block.kind === "heading" && block.text === block.sheet;
  return html`
    ${place && html`<p class="source-place">${place}</p>`}
    <div class="source-block" data-start=${block.start} tabindex="-1" dir="auto">
      ${!(place && isSheetName && !marks.length) && html`<${Block} block=${block} marks=${marks} topLevel=${topLevel} />`}
    </div>`;
}

function Block({ block, marks, topLevel }) {
  const marked = html`<${MarkedText} text=${block.text} marks=${marks} offset=${block.start} />`;
  if (block.kind === "heading") {
    const level = Math.min(6, topLevel + Math.max(1, block.level) - 1);
    return html`<${`h${level}`} class=${`source-heading level-${Math.min(3, block.level)}`}>${marked}<//>`;
  }
  if (block.kind === "code") return html`<pre tabindex="0"><code>${marked}</code></pre>`;
  if (block.kind === "table") return html`<${Table} block=${block} marks=${marks} />`;
  if (block.kind === "list") return html`<${List} block=${block} marks=${marks} />`;
  return html`<p class="passage">${marked}</p>`;
}

/** Return the lines of a text with the offset in Unicode characters of each. */
function splitLines(text, offset) {
  return text.split("\n").map((line) => {
    const start = offset;
    offset += countPoints(line) + 1;
    return { text: line, start };
  });
}

const countPoints = (text) => (/[\ud800-\udfff]/.test(text) ? [...text].length : text.length);
const SEPARATOR = /^\| | \| | \|$/g;

/** Return the cells of a row, which are joined by " | "; empty ones at the ends have lost their outer space. */
function splitCells({ text, start }) {
  const cells = [];
  let from = 0;
  const add = (to) => cells.push({ text: text.slice(from, to), start: start + countPoints(text.slice(0, from)) });
  for (const { 0: separator, index } of text.matchAll(SEPARATOR)) {
    add(index);
    from = index + separator.length;
  }
  add(text.length);
  return cells;
}

function Table({ block, marks }) {
  const lines = splitLines(block.text, block.start);
  const header = block.header ? { text: block.header, start: -1 } : lines.length > 1 ? lines.shift() : null;
  const rows = lines.map(splitCells);
  const columns = Math.max(...rows.map((cells) => cells.length), header ? splitCells(header).length : 0);
  return html`<div class="scroll" tabindex="0" role="group" aria-label="Table"><table class="table source-table">
    ${header && html`<thead><tr>${pad(splitCells(header), columns).map((cell) => html`<th scope="col">
      ${cell && html`<${MarkedText} ...${cell} offset=${cell.start} marks=${header.start < 0 ? [] : marks} />`}</th>`)}</tr></thead>`}
    <tbody>${rows.map((cells, index) => html`<${Row} key=${lines[index].start} cells=${pad(cells, columns)}
      line=${lines[index]} marks=${marks} />`)}</tbody></table></div>`;
}

const pad = (cells, columns) => [...cells, ...Array(Math.max(0, columns - cells.length)).fill(null)];

function Row({ cells, line, marks }) {
  const end = line.start + countPoints(line.text);
  const inRow = marks.filter((mark) => mark.start < end && mark.end > line.start);
  const isCited = inRow.some(({ kind }) => kind === "cited"), isMarked = inRow.length > 0;
  const inCells = inRow.filter((mark) => mark.start > line.start || mark.end < end); // the others mark the whole row
  return html`<tr class=${isCited ? "row-cited" : isMarked ? "row-best" : ""}>${cells.map((cell, index) => html`<td key=${index}>
    ${index === 0 && isCited && html`<span class="visually-hidden">Marked row: </span>`}
    ${cell && html`<${MarkedText} text=${cell.text} offset=${cell.start} marks=${inCells} />`}</td>`)}</tr>`;
}

const BULLET = /^(\s*)([-*•–]|\d+[.)])\s/;

function List({ block, marks }) {
  const items = splitLines(block.text, block.start);
  return html`<ul class="source-list">${items.map((item) => html`<li key=${item.start}
    class=${BULLET.test(item.text) || /^\s/.test(item.text) ? "" : "bare"}>
    <${MarkedText} text=${item.text} marks=${marks} offset=${item.start} /></li>`)}</ul>`;
}
