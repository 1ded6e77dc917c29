// The view "Ask": the question, the turns of the conversation, its options, and the source beside the answer.

import {
  ErrorNote, FilterNote, formatCount, html, isFilterValid, NeedsCollection, NeedsScope, Spinner, useCollections, useEffect, useLayoutEffect, useLocation, useRef, useState, useTitle,
  viewUrl, navigate,
} from "./app.js";
import { Turn } from "./answer.js";
import { OPTION_NAMES, useConversation } from "./conversation.js";
import { leaveSession, Sessions } from "./sessions.js";

const MAX_QUESTION_CHARACTERS = 4000;
const PROFILES = ["support", "assistant", "writer"];
const POLICIES = [
  ["", "As usual"], ["strict", "Leave out (strict)"], ["flag", "Show, marked (flag)"], ["off", "Do not check (off)"],
];

export default function AskView() {
  const { params } = useLocation();
  useTitle(params.q ? `${params.q} – Ask` : "Ask");
  return html`<h1 class="visually-hidden">Ask</h1>
    <${NeedsScope} scope="ask"><${NeedsCollection}><${Conversation} /><//><//>`;
}

function Conversation() {
  const conversation = useConversation();
  const { turns, error, isLoading } = conversation;
  const [source, setSource] = useState(null);
  const isEmpty = !turns.length && !isLoading && !error;
  useEffect(() => { setSource(null); }, [conversation.collection]);
  const open = (target) => loadPanel().then((Panel) => (Panel ? setSource({ Panel, target })
    : navigate(viewUrl(target.collection, target.uri, target.start, target.end))));
  const start = () => { setSource(null); conversation.clear(); document.getElementById("question").focus(); };
  return html`<div class=${source ? "with-panel" : ""}><div class="stack ask">
    ${isEmpty && html`<${Welcome} />`}
    ${!isEmpty && html`<div class="row"><button class="button small" onClick=${start}>New conversation</button></div>`}
    ${isLoading && html`<${Spinner} label="Opening the conversation" />`}
    ${error && html`<${ErrorNote} error=${error} onRetry=${conversation.reload} />`}
    ${turns.map((turn, index) => html`<${Turn} key=${turn.key} turn=${turn} conversation=${conversation} onOpen=${open}
      isLast=${index === turns.length - 1} />`)}
    <${FilterNote} />
    <${QuestionForm} conversation=${conversation} isFirst=${!turns.length} />
    <${Options} />
    <${Sessions} collection=${conversation.collection} current=${conversation.session}
      turns=${turns.filter(({ status }) => status === "done").length} discarded=${conversation.discarded}
      onDeleted=${(id) => leaveSession(id, conversation.session)} />
  </div>
  ${source && html`<${source.Panel} ...${source.target} onClose=${() => setSource(null)} />`}</div>`;
}

/** Return the component that shows a source beside the answer, or null where it cannot be loaded. */
const loadPanel = () => import("./source.js").then((module) => module.SourcePanel ?? null, () => null);

function Welcome() {
  const { collections, current } = useCollections();
  const info = collections.find(({ name }) => name === current);
  return html`<div class="note empty stack tight"><p>${info && info.documents !== null && `${info.name} has ${formatCount(info.documents, "document")}. `}
    Ask a question in your own words. The answer names its sources, and each citation opens the document at the cited words.</p></div>`;
}

/** The question field. Enter sends, Shift+Enter begins a new line. A question of the URL is proposed, not sent: it may cost. */
function QuestionForm({ conversation, isFirst }) {
  const { params } = useLocation();
  const { isStreaming, isLoading } = conversation;
  const isBlocked = isLoading || !isFilterValid(params.filter);
  const [text, setText] = useState(params.session || params.answer ? "" : params.q ?? "");
  const field = useRef(null);
  useLayoutEffect(() => { fitHeight(field.current); }, [text]);
  useEffect(() => {
    if (document.activeElement === document.body || document.activeElement.id === "main") field.current.focus();
  }, []);
  const submit = (event) => {
    event.preventDefault();
    field.current.focus();
    if (!text.trim() || isStreaming || isBlocked) return;
    conversation.ask(text.trim());
    setText("");
  };
  const onKeyDown = (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) submit(event);
  };
  const label = isFirst ? "Your question" : "Ask a follow-up question";
  return html`<form class="question-form" onSubmit=${submit}>
    <label class="visually-hidden" for="question">${label}</label>
    <textarea id="question" ref=${field} rows="1" maxlength=${MAX_QUESTION_CHARACTERS} value=${text} placeholder=${label}
      enterkeyhint="send" autocomplete="off" onInput=${(event) => setText(event.target.value)} onKeyDown=${onKeyDown} />
    ${isStreaming ? html`<button key="stop" type="button" class="button" onClick=${() => { conversation.stop(); field.current.focus(); }}>Stop</button>`
      : html`<button key="ask" class="button primary" disabled=${!text.trim() || isBlocked}>Ask</button>`}
  </form>`;
}

function fitHeight(area) {
  area.style.height = "auto";
  area.style.height = `${area.scrollHeight + area.offsetHeight - area.clientHeight}px`;
}

/** The options of the next question; they are part of the URL. */
function Options() {
  const { params } = useLocation();
  const chosen = OPTION_NAMES.filter((name) => params[name]);
  const set = (name) => (event) => navigate({ [name]: event.target.value.trim() || null }, { replace: true });
  return html`<details><summary>Options${chosen.length > 0 && ` (${chosen.length} set)`}</summary><div class="options">
    <div class="field"><label for="profile">Profile</label>
      <input id="profile" list="profiles" value=${params.profile ?? ""} onChange=${set("profile")} placeholder="None" autocomplete="off" />
      <datalist id="profiles">${PROFILES.map((name) => html`<option key=${name} value=${name} />`)}</datalist></div>
    <div class="field"><label for="policy">Unsupported sentences</label>
      <select id="policy" value=${params.policy ?? ""} onChange=${set("policy")}>
        ${POLICIES.map(([value, label]) => html`<option key=${value} value=${value}>${label}</option>`)}</select></div>
    <div class="field"><label for="k">Passages to answer from</label>
      <input id="k" type="number" min="1" max="100" value=${params.k ?? ""} onChange=${set("k")} placeholder="As usual" /></div>
    <${FilterField} filter=${params.filter ?? ""} />
  </div></details>`;
}

function FilterField({ filter }) {
  const [text, setText] = useState(filter);
  const [problem, setProblem] = useState("");
  useEffect(() => { setText(filter); setProblem(""); }, [filter]);
  const apply = (event) => {
    const parsed = parseFilter(event.target.value.trim());
    setProblem(parsed === undefined ? 'Write name=value, such as team=hr, or a JSON object, such as {"year":{"$gte":2024}}.' : "");
    if (parsed !== undefined) navigate({ filter: parsed }, { replace: true });
  };
  return html`<div class="field"><label for="filter">Filter</label>
    <input id="filter" value=${text} onInput=${(event) => setText(event.target.value)} onChange=${apply} placeholder="team=hr, or JSON"
      aria-describedby="filter-problem" aria-invalid=${Boolean(problem)} autocomplete="off" />
    <span id="filter-problem" class="small-text filter-problem" role="status">${problem}</span></div>`;
}

/** Return a filter as JSON; null for none, undefined for what is neither JSON nor name=value. */
function parseFilter(text) {
  if (!text) return null;
  try {
    const value = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? JSON.stringify(value) : undefined;
  } catch {
    const pairs = text.startsWith("{") ? [] : text.split(",").map((pair) => /^\s*([^=\s][^=]*?)\s*=\s*(.+?)\s*$/.exec(pair));
    return pairs.length && pairs.every(Boolean) ? JSON.stringify(Object.fromEntries(pairs.map(([, name, value]) => [name, readScalar(value)]))) : undefined;
  }
}

function readScalar(text) {
  return /^(-?\d+(\.\d+)?|true|false|null)$/.test(text) ? JSON.parse(text) : text;
}
