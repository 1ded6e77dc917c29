// The view "Keys": list access keys, create, rotate and revoke them. A secret is shown once, until it is put away.

import {
  announce, api, Dialog, ErrorNote, formatCount, formatNumber, formatUsd, html, NeedsScope, Spinner, useCaller, useCollections,
  useEffect, useLayoutEffect, useRef, useState, useTitle,
} from "./app.js";
import { ConfirmDialog, useAction } from "./collection_dialogs.js";
import { copyText } from "./copy_answer.js";
import { exchangeKey } from "./sign_in.js";

const DAY_MS = 86_400_000;
const SCOPES = [
  ["search", "Search and read documents"], ["ask", "Ask questions"], ["write", "Add and delete documents"],
  ["admin", "Manage collections and access keys, see content gaps, approve answers"],
];
const DEFAULT_SCOPES = ["search", "ask"];
const LIFETIMES = [["", "Never"], ["30", "In 30 days"], ["90", "In 90 days"], ["365", "In a year"]];
const LIMITS = [
  ["requests_per_minute", "Requests per minute", 1], ["tokens_per_minute", "Tokens of model servers per minute", 1],
  ["streams", "Streamed answers at once", 1], ["day_usd", "US dollars per day", "any"],
];
const OVERLAPS = [["86400", "For a day"], ["3600", "For an hour"], ["0", "No longer"]];
const timeFormat = new Intl.DateTimeFormat("en", { dateStyle: "medium", timeStyle: "short" });
const formatTime = (time) => timeFormat.format(new Date(time));

/** Read the keys once, the oldest first; `replace` puts a changed one into its place, and a new one at the end. */
function useKeys() {
  const [state, setState] = useState({ keys: null, error: null });
  const load = () => {
    setState((shown) => ({ ...shown, error: null }));
    return api.get("/v1/keys").then(({ keys }) => setState({ keys, error: null }), (error) => setState((shown) => ({ ...shown, error })));
  };
  useEffect(() => { load(); }, []);
  const replace = (key) => setState(({ keys }) => ({ error: null, keys: replaceKey(keys ?? [], key) }));
  return { ...state, load, replace };
}

const replaceKey = (keys, key) => keys.some(({ id }) => id === key.id)
  ? keys.map((known) => (known.id === key.id ? key : known)) : [...keys, key];

/** Return the state of a key: the colour of its badge, and a word. */
function describeState({ revoked, expires }) {
  if (revoked) return ["bad", "revoked"];
  return expires && Date.parse(expires) <= Date.now() ? ["bad", "expired"] : ["good", "valid"];
}

const isValid = (key) => describeState(key)[1] === "valid";

/** Return what is limited, in words. */
function describeLimits({ requests_per_minute: requests, tokens_per_minute: tokens, streams, day_usd: dollars }) {
  return [
    requests && `${formatCount(requests, "request")} per minute`, tokens && `${formatCount(tokens, "token")} per minute`,
    streams && `${formatCount(streams, "streamed answer")} at once`, dollars && `${formatUsd(dollars)} per day`,
  ].filter(Boolean);
}

function KeyCard({ info, onRotate, onRevoke }) {
  const { id, name, owner, scopes, collections, filter, limits, created, expires, revoked, rotated_until: rotatedUntil } = info;
  const [kind, label] = describeState(info);
  const limited = describeLimits(limits);
  const rows = [
    ["Allows", scopes.join(", ")], ["Collections", collections ? collections.join(", ") : "all"],
    ...(filter ? [["Only documents", html`<code>${JSON.stringify(filter)}</code>`]] : []),
    ...(limited.length ? [["Limits", limited.join(", ")]] : []),
    ["Created", formatTime(created)], [revoked ? "Revoked" : "Expires", formatTimeOr(revoked ?? expires, "never")],
    ...(rotatedUntil && isValid(info) && Date.parse(rotatedUntil) > Date.now() ? [["Old secret valid until", formatTime(rotatedUntil)]] : []),
  ];
  return html`<article class="card stack tight"><div class="row spread"><h3>${name}</h3><span class=${`badge ${kind}`}>${label}</span></div>
    <p class="meta"><span>Owner ${owner}</span><span class="mono">${id}</span></p>
    <dl class="key-details">${rows.map(([term, value]) => html`<div key=${term}><dt>${term}</dt><dd>${value}</dd></div>`)}</dl>
    ${isValid(info) && html`<div class="row"><button class="button small" aria-label=${`Rotate ${name}`} onClick=${onRotate}>Rotate</button>
      <button class="button danger small" aria-label=${`Revoke ${name}`} onClick=${onRevoke}>Revoke</button></div>`}
  </article>`;
}

const formatTimeOr = (time, word) => (time ? formatTime(time) : word);

function KeyList({ keys, label, onRotate, onRevoke }) {
  return html`<ul class="list" aria-label=${label}>${keys.map((key) => html`<li key=${key.id}><${KeyCard} info=${key}
    onRotate=${() => onRotate(key)} onRevoke=${() => onRevoke(key)} /></li>`)}</ul>`;
}

/** A new secret, at the top of the view: unlike a dialog it is not closed by accident. */
function NewSecret({ made, onDone }) {
  const [message, setMessage] = useState("");
  const heading = useRef(null), field = useRef(null);
  useLayoutEffect(() => { setMessage(""); heading.current.focus(); }, [made]);
  const copy = async () => {
    const isCopied = await copyText(made.key);
    setMessage(isCopied ? "Copied." : "The browser does not allow copying. The key is selected: copy it yourself.");
    if (!isCopied) field.current.select();
  };
  return html`<section class="note warn stack tight" aria-labelledby="secret-title">
    <h2 id="secret-title" tabindex="-1" ref=${heading}>The key of ${made.name}</h2>
    <p>Copy it now: it is not stored, and cannot be shown again.</p>
    <div class="row secret"><input ref=${field} class="mono" readonly aria-label="Access key" value=${made.key}
        onFocus=${(event) => event.target.select()} />
      <button class="button primary" onClick=${copy}>Copy</button><button class="button" onClick=${onDone}>Done</button></div>
    <p role="status" class="small-text">${message}</p></section>`;
}

// ---------------------------------------------------------------------------------------------------------- Dialogs

/** Return a function that returns properties of a field whose value is a text in `fields`. */
function useFields(initial) {
  const [fields, setFields] = useState(initial);
  const set = (name, value) => setFields((shown) => ({ ...shown, [name]: value }));
  const bind = (name) => ({ id: `key-${name}`, value: fields[name], autocomplete: "off", onInput: (event) => set(name, event.target.value) });
  return { fields, set, bind };
}

const NEW_KEY = { name: "", owner: "", scopes: DEFAULT_SCOPES, collections: [], filter: "", lifetime: "",
  ...Object.fromEntries(LIMITS.map(([name]) => [name, ""])) };

/** Return the body of the request; the server validates it. */
function makeBody({ name, owner, scopes, collections, filter, lifetime, ...limits }) {
  const given = Object.entries(limits).filter(([, value]) => value !== "").map(([field, value]) => [field, Number(value)]);
  return {
    name: name.trim(), scopes, ...Object.fromEntries(given),
    ...(owner.trim() && { owner: owner.trim() }), ...(collections.length && { collections }),
    ...(filter.trim() && { filter: parseFilter(filter) }),
    ...(lifetime && { expires: new Date(Date.now() + Number(lifetime) * DAY_MS).toISOString() }),
  };
}

function parseFilter(text) {
  try {
    return JSON.parse(text);
  } catch {
    throw { title: "The filter is not JSON", detail: 'Write a JSON object, such as {"team": {"$in": ["hr", "all"]}}.' };
  }
}

function Checks({ legend, options, chosen, onChange, help }) {
  const toggle = (name) => onChange(chosen.includes(name) ? chosen.filter((other) => other !== name) : [...chosen, name]);
  return html`<fieldset class="checks"><legend class="label">${legend}</legend>
    ${options.map(([name, label]) => html`<label key=${name} class="check"><input type="checkbox" checked=${chosen.includes(name)}
      onChange=${() => toggle(name)} />${label}</label>`)}
    ${help && html`<p class="muted small-text">${help}</p>`}</fieldset>`;
}

function CreateDialog({ onCreated, onClose }) {
  const { collections } = useCollections();
  const { isIdentified } = useCaller();
  const { fields, set, bind } = useFields(NEW_KEY);
  const { error, isBusy, run } = useAction(async () => onCreated(await api.post("/v1/keys", makeBody(fields))));
  const onSubmit = (event) => { event.preventDefault(); if (!isBusy) run(); };
  return html`<${Dialog} title="New access key" onClose=${onClose}><form class="stack" onSubmit=${onSubmit}>
    ${!isIdentified && html`<p class="note warn">From the first key on, every request needs one, also on this machine. This page then
      asks for it; without the scope admin, further keys are created at a shell: semsearch keys create.</p>`}
    <div class="field"><label for="key-name">Name: what the key is for</label><input ...${bind("name")} required maxlength="200" /></div>
    <div class="field"><label for="key-owner">Owner (empty: the name)</label>
      <input ...${bind("owner")} maxlength="200" aria-describedby="key-owner-help" />
      <p id="key-owner-help" class="muted small-text">Keys of the same owner share answers, conversations and usage.</p></div>
    <${Checks} legend="It may" options=${SCOPES} chosen=${fields.scopes} onChange=${(scopes) => set("scopes", scopes)} />
    ${collections.length > 0 && html`<${Checks} legend="In these collections" options=${collections.map(({ name }) => [name, name])}
      chosen=${fields.collections} onChange=${(names) => set("collections", names)} help="None chosen: in all, also in later ones." />`}
    <div class="field"><label for="key-lifetime">It expires</label><select ...${bind("lifetime")}>
      ${LIFETIMES.map(([value, label]) => html`<option key=${value} value=${value}>${label}</option>`)}</select></div>
    <details><summary>Filter and limits</summary><div class="stack">
      <div class="field"><label for="key-filter">Only documents that match (JSON)</label>
        <textarea ...${bind("filter")} rows="2" spellcheck=${false} placeholder='{"team": {"$in": ["hr", "all"]}}' aria-describedby="key-filter-help" />
        <p id="key-filter-help" class="muted small-text">Not together with adding, deleting and managing.</p></div>
      <div class="options">${LIMITS.map(([name, label, step]) => html`<div class="field" key=${name}><label for=${`key-${name}`}>${label}</label>
        <input ...${bind(name)} type="number" min="0" step=${step} placeholder="No limit" /></div>`)}</div></div></details>
    ${error && html`<${ErrorNote} error=${error} />`}
    <div class="row"><button class="button primary" disabled=${isBusy || !fields.name.trim() || !fields.scopes.length}>Create key</button>
      <button type="button" class="button" onClick=${onClose}>Cancel</button></div>
  </form><//>`;
}

function RotateDialog({ info, onRotated, onClose }) {
  const { caller } = useCaller();
  const { fields, bind } = useFields({ overlap: OVERLAPS[0][0] });
  const { error, isBusy, run } = useAction(async () => {
    const made = await api.post(`/v1/keys/${info.id}/rotate`, { overlap_seconds: Number(fields.overlap) });
    if (info.id === caller?.key && caller.signed_in) await exchangeKey(made.key).catch(() => {}); // else the page asks for it later
    onRotated(made);
  });
  return html`<${Dialog} title=${`Rotate the key ${info.name}?`} onClose=${onClose}>
    <p>It gets a new secret, and keeps its owner, rights and limits.</p>
    <div class="field"><label for="key-overlap">The old secret stays valid</label><select ...${bind("overlap")}>
      ${OVERLAPS.map(([value, label]) => html`<option key=${value} value=${value}>${label}</option>`)}</select></div>
    ${error && html`<${ErrorNote} error=${error} />`}
    <div class="row"><button class="button primary" disabled=${isBusy} onClick=${run}>Rotate</button>
      <button class="button" onClick=${onClose}>Cancel</button></div><//>`;
}

function RevokeDialog({ info, onRevoked, onClose }) {
  const { caller } = useCaller();
  const confirm = async () => onRevoked(await api.del(`/v1/keys/${info.id}`));
  return html`<${ConfirmDialog} title=${`Revoke the key ${info.name}?`} confirmLabel="Revoke key" busyLabel="Revoking…"
      onConfirm=${confirm} onClose=${onClose}>
    <p>Requests with it are refused from now on. This cannot be undone. Documents and answers are not affected.</p>
    ${info.id === caller?.key && html`<p class="note warn">You are signed in with this key. The page asks for another one.</p>`}<//>`;
}

// ------------------------------------------------------------------------------------------------------------- View

function Keys() {
  const { keys, error, load, replace } = useKeys();
  const { isIdentified } = useCaller();
  const [dialog, setDialog] = useState(null);
  const [made, setMade] = useState(null);
  const heading = useRef(null);
  const close = () => setDialog(null);
  const show = ({ key, ...info }, verb) => {
    replace(info);
    close();
    setMade({ key, name: info.name });
    announce(`The key ${info.name} is ${verb}`);
  };
  const putAway = () => {
    setMade(null);
    heading.current.focus();
    if (!isIdentified) load(); // without any key before, the page now asks for one
  };
  const [revocations, setRevocations] = useState(0);
  useEffect(() => { if (revocations) heading.current.focus(); }, [revocations]); // the button that had the focus is gone
  const onRevoked = (info) => {
    replace(info);
    close();
    setRevocations(revocations + 1);
    announce(`The key ${info.name} is revoked`);
  };
  const open = (name) => (info) => setDialog({ name, info });
  const valid = (keys ?? []).filter(isValid), others = (keys ?? []).filter((key) => !isValid(key));
  const lists = { onRotate: open("rotate"), onRevoke: open("revoke") };
  return html`<div class="stack">
    <div class="row spread"><h1 ref=${heading} tabindex="-1">Access keys</h1>
      <button class="button primary" onClick=${() => setDialog({ name: "create" })}>New key</button></div>
    ${made && html`<${NewSecret} made=${made} onDone=${putAway} />`}
    ${error && html`<${ErrorNote} error=${error} onRetry=${load} />`}
    ${!keys && !error && html`<${Spinner} />`}
    ${keys && !keys.length && html`<div class="note empty stack tight"><h2>There is no key yet</h2>
      <p>Requests from this machine need none. From the first key on, every request needs one, and the service may listen for other machines.</p></div>`}
    ${valid.length > 0 && html`<${KeyList} keys=${valid} label="Valid keys" ...${lists} />`}
    ${others.length > 0 && html`<details><summary>Revoked and expired keys (${formatNumber(others.length)})</summary>
      <${KeyList} keys=${others} label="Revoked and expired keys" ...${lists} /></details>`}
    ${dialog?.name === "create" && html`<${CreateDialog} onCreated=${(key) => show(key, "created")} onClose=${close} />`}
    ${dialog?.name === "rotate" && html`<${RotateDialog} info=${dialog.info} onRotated=${(key) => show(key, "rotated")} onClose=${close} />`}
    ${dialog?.name === "revoke" && html`<${RevokeDialog} info=${dialog.info} onRevoked=${onRevoked} onClose=${close} />`}
  </div>`;
}

export default function KeysView() {
  useTitle("Access keys");
  const { can } = useCaller();
  if (can("admin")) return html`<${Keys} />`;
  return html`<div class="stack"><h1>Access keys</h1><${NeedsScope} scope="admin" /></div>`;
}
