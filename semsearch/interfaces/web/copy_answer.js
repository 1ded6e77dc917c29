// An answer with its citations as Markdown and as plain text, and the clipboard.

import { viewUrl } from "./app.js";

/** Return the address of a citation: the server's, else that of this page. */
export function citationUrl(collection, { url, uri, start, end }) {
  return /^https?:\/\//.test(url ?? "") ? url : window.location.origin + viewUrl(collection, uri, start, end);
}

/** Return "Leave › Parents, page 3", without repeating the title. */
export function describePlace({ title, heading, page, uri }) {
  const headings = (heading ?? "").split(" › ").filter(Boolean);
  const path = [...new Set([title || uri, ...headings])].join(" › ");
  return page === null || page === undefined ? path : `${path}, page ${page}`;
}

/** Return the text of an answer behind the table header that it needs. */
function joinText({ sentences, answer }) {
  const context = sentences.length === 1 ? sentences[0].context : "";
  return context ? `${context}\n${answer}` : answer;
}

export function formatMarkdown(collection, question, answer) {
  const items = answer.citations.map((citation) => {
    const url = citationUrl(collection, citation).replaceAll("(", "%28").replaceAll(")", "%29");
    return `${citation.marker}. [${escapeMarkdown(describePlace(citation))}](${url}): “${escapeMarkdown(oneLine(citation.quote))}”`;
  });
  return [`**${escapeMarkdown(oneLine(question))}**`, joinText(answer).trim(), items.join("\n")].filter(Boolean).join("\n\n") + "\n";
}

export function formatPlain(collection, question, answer) {
  const items = answer.citations.map((citation) =>
    `[${citation.marker}] ${describePlace(citation)} (${citation.uri})\n    “${oneLine(citation.quote)}”\n    ${citationUrl(collection, citation)}`);
  return [oneLine(question), joinText(answer).trim(), items.join("\n")].filter(Boolean).join("\n\n") + "\n";
}

const oneLine = (text) => text.replace(/\s+/g, " ").trim();
const escapeMarkdown = (text) => text.replace(/[\\`*_[\]<>|]/g, "\\$&");

/** Copy a text; return whether that worked. The clipboard API needs HTTPS or this machine, so there is a second way. */
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copySelection(text);
  }
}

function copySelection(text) {
  const opener = document.activeElement;
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "visually-hidden";
  document.body.append(area);
  area.select();
  try {
    return document.execCommand("copy");
  } catch {
    return false;
  } finally {
    area.remove();
    opener?.focus?.();
  }
}
