// The view "Usage": what requests to model servers cost, budgets, and the state of servers and collections.

import {
  api, ErrorNote, formatCount, formatNumber, formatUsd, html, isAborted, Link, navigate, reloadCollections, Spinner,
  useCaller, useCollections, useEffect, useLocation, useState, useTitle,
} from "./app.js";
import { DayChart, ShareBar } from "./charts.js";

const CHART_DAYS = 30;
const DAY_MS = 86_400_000;
const NEARLY_USED = 0.8;
const NO_ROW = { requests: 0, input_tokens: 0, output_tokens: 0, cached_tokens: 0, cost_usd: 0, estimated_requests: 0 };

const MEASURES = [
  { name: "cost", label: "Cost", read: (row) => row.cost_usd, format: formatUsd },
  { name: "tokens", label: "Tokens", read: (row) => row.input_tokens + row.output_tokens, format: formatNumber },
  { name: "requests", label: "Requests", read: (row) => row.requests, format: formatNumber },
];
const PERIODS = [["today", "Today"], ["month", "This month"]];
const BUDGETS = [["day_usd", "Cost per day"], ["month_usd", "Cost per month"], ["day_tokens", "Tokens per day"], ["month_tokens", "Tokens per month"]];
const SERVER_STATES = {
  ok: ["good", "ready", () => "Requests are sent to it."],
  paused: ["warn", "paused", (seconds) => `Its rate limit is used up. The next request is sent in ${seconds}.`],
  open: ["bad", "failing", (seconds) => `Its last requests failed. The next one is sent in ${seconds}.`],
};

const formatDay = (time) => new Date(time).toISOString().slice(0, 10);

/** Read the reports side by side; return {data, error, isLoading, reload}. */
function useReports() {
  const [state, setState] = useState({ data: null, error: null, isLoading: true });
  const [attempt, setAttempt] = useState(0);
  useEffect(() => {
    const controller = new AbortController();
    setState((shown) => ({ ...shown, error: null, isLoading: true }));
    readReports(controller.signal).then(
      (data) => setState({ data, error: null, isLoading: false }),
      (error) => isAborted(error) || setState((shown) => ({ ...shown, error, isLoading: false })),
    );
    return () => controller.abort();
  }, [attempt]);
  return { ...state, reload: () => setAttempt(attempt + 1) };
}

async function readReports(signal) {
  const now = Date.now(), today = formatDay(now);
  const read = (by, since) => api.get("/v1/usage", { signal, query: { by, since } });
  const [byDay, ofToday, ofMonth, health] = await Promise.all([
    read("day", formatDay(now - (CHART_DAYS - 1) * DAY_MS)), read("model", today), read("model", `${today.slice(0, 7)}-01`),
    api.get("/readyz", { signal }).catch((error) => { if (isAborted(error)) throw error; return { error }; }),
  ]);
  const rows = new Map(byDay.rows.map((row) => [row.name, row]));
  const days = Array.from({ length: CHART_DAYS }, (_, index) => formatDay(now - (CHART_DAYS - 1 - index) * DAY_MS))
    .map((name) => rows.get(name) ?? { ...NO_ROW, name });
  return { today, days, models: { today: ofToday.rows, month: ofMonth.rows }, budget: byDay.budget, rateLimits: byDay.rate_limits, health };
}

const sum = (rows, read) => rows.reduce((total, row) => total + (read(row) ?? 0), 0);
const hasUnknownCost = (rows) => rows.some((row) => row.cost_usd === null);

/** Return the cost of rows in words: a price that is unknown makes it a lower bound. */
function labelCost(rows) {
  const known = sum(rows, (row) => row.cost_usd);
  if (!hasUnknownCost(rows)) return formatUsd(known);
  return known ? `at least ${formatUsd(known)}` : "unknown";
}

function Segmented({ legend, name, options, chosen, onChoose }) {
  return html`<fieldset class="segmented"><legend class="visually-hidden">${legend}</legend>
    ${options.map(([value, label]) => html`<label key=${value}>
      <input type="radio" name=${name} value=${value} checked=${value === chosen} onChange=${() => onChoose(value)} /><span>${label}</span></label>`)}
  </fieldset>`;
}

function Totals({ title, period, rows }) {
  const estimated = sum(rows, (row) => row.estimated_requests);
  return html`<section class="card stack tight"><h2>${title} <span class="muted small-text">${period} (UTC)</span></h2>
    <dl class="figures">
      <div><dt>Cost</dt><dd>${labelCost(rows)}</dd></div>
      <div><dt>Tokens</dt><dd>${formatNumber(sum(rows, (row) => row.input_tokens + row.output_tokens))}</dd></div>
      <div><dt>Requests</dt><dd>${formatNumber(sum(rows, (row) => row.requests))}</dd></div>
    </dl>
    ${estimated > 0 && html`<p class="muted small-text">Tokens of ${formatCount(estimated, "request")} are estimated: the model server did not report them.</p>`}
  </section>`;
}

function DaySection({ days, measure }) {
  const values = days.map((row) => ({ name: row.name, value: measure.read(row) }));
  const unknownCount = values.filter(({ value }) => value === null).length;
  const used = days.filter((row) => row.requests).reverse();
  return html`<section class="card stack tight"><h2>${measure.label} per day, last ${days.length} days</h2>
    <${DayChart} days=${values} label=${`${measure.label} per day`} format=${measure.format} />
    ${unknownCount > 0 && html`<p class="muted small-text">Dashed: the cost of ${formatCount(unknownCount, "day")} is unknown.</p>`}
    <details><summary>Numbers of each day</summary><div class="scroll">
      <${UsageTable} heading="Day (UTC)" rows=${used} caption="Usage per day; days without requests are left out" /></div></details>
  </section>`;
}

function UsageTable({ heading, caption, rows, share }) {
  const cells = (row) => [row.requests, row.input_tokens, row.output_tokens].map(formatNumber);
  const narrow = (row) => [formatCount(row.requests, "request"), `${formatNumber(row.input_tokens)} tokens in`, `${formatNumber(row.output_tokens)} out`];
  return html`<table class="table usage"><caption class="visually-hidden">${caption}</caption>
    <thead><tr><th scope="col">${heading}</th>${["Requests", "Tokens in", "Tokens out"].map((name) =>
      html`<th key=${name} scope="col" class="number wide-only">${name}</th>`)}<th scope="col" class="number">Cost</th></tr></thead>
    <tbody>${rows.map((row) => html`<tr key=${row.name}><th scope="row">${row.name}
        <p class="meta narrow-only">${narrow(row).map((part) => html`<span key=${part}>${part}</span>`)}</p>
        ${share && html`<${ShareBar} share=${share(row)} />`}</th>
      ${cells(row).map((cell, index) => html`<td key=${index} class="number wide-only">${cell}</td>`)}
      <td class="number">${formatUsd(row.cost_usd)}</td></tr>`)}</tbody></table>`;
}

function ModelSection({ rows, measure, period, onChoose }) {
  const total = sum(rows, measure.read);
  const unpriced = rows.filter((row) => row.cost_usd === null).map(({ name }) => name);
  return html`<section class="card stack tight"><div class="row spread"><h2>By model</h2>
      <${Segmented} legend="Period" name="period" options=${PERIODS} chosen=${period} onChoose=${onChoose} /></div>
    ${rows.length > 0 ? html`<div class="scroll"><${UsageTable} heading="Model" rows=${rows} caption="Usage by model"
        share=${(row) => (total ? (measure.read(row) ?? 0) / total : 0)} /></div>
      <p class="muted small-text">The bars show the share of ${measure.label.toLowerCase()}.</p>`
    : html`<p class="muted">Nothing was sent to a model server ${period === "today" ? "today" : "this month"}.</p>`}
    ${unpriced.length > 0 && html`<p class="muted small-text">No price is known for ${unpriced.join(", ")}. The operator of the service can set it in
      semsearch.toml: <code>[prices."MODEL"]</code>.</p>`}
  </section>`;
}

function UsageSections({ data }) {
  const { params } = useLocation();
  const { days, models, today } = data;
  if (!days.some((row) => row.requests) && !models.month.length) {
    return html`<div class="note empty stack tight"><h2>Nothing was sent to a model server</h2>
      <p>In the last ${CHART_DAYS} days, no request cost anything. Built-in embeddings and excerpts run on the server itself. Requests to a
        chat model or to a server for embeddings are counted here.</p></div>`;
  }
  const fallback = days.some((row) => row.cost_usd) ? "cost" : "tokens";
  const measure = MEASURES.find(({ name }) => name === params.measure) ?? MEASURES.find(({ name }) => name === fallback);
  const period = params.period === "today" ? "today" : "month";
  const set = (name) => (value) => navigate({ [name]: value }, { replace: true });
  return html`<div class="halves"><${Totals} title="Today" period=${today} rows=${models.today} />
      <${Totals} title="This month" period=${today.slice(0, 7)} rows=${models.month} /></div>
    <div class="row"><span class="label" aria-hidden="true">Charts show</span><${Segmented} legend="Charts show" name="measure" chosen=${measure.name}
      options=${MEASURES.map(({ name, label }) => [name, label])} onChoose=${set("measure")} /></div>
    <${DaySection} days=${days} measure=${measure} />
    <${ModelSection} rows=${models[period]} measure=${measure} period=${period} onChoose=${set("period")} />`;
}

function BudgetMeter({ budget }) {
  const [kind, label] = BUDGETS.find(([name]) => budget.name.endsWith(name)) ?? [budget.name, budget.name];
  const isShared = !budget.name.includes("per_owner");
  const format = kind.endsWith("usd") ? formatUsd : formatNumber;
  const share = budget.limit ? budget.spent / budget.limit : 1;
  const [state, words] = share >= 1 ? ["bad", "used up"] : share >= NEARLY_USED ? ["warn", "nearly used up"] : ["good", "within budget"];
  const text = `${format(budget.spent)} of ${format(budget.limit)} spent ${kind.startsWith("day") ? "on" : "in"} ${budget.period} (UTC)`;
  return html`<li class="stack tight budget">
    <div class="row spread"><h3>${label}<span class="muted small-text"> ${isShared ? "for all users together" : "for you"}</span></h3>
      <span class=${`badge ${state}`}>${words}</span></div>
    <div class=${`bar ${state}`} role="meter" aria-label=${label} aria-valuemin="0" aria-valuemax="100" aria-valuenow=${Math.round(100 * Math.min(1, share))}
      aria-valuetext=${text}><div style=${{ width: `${100 * Math.min(1, share)}%` }}></div></div>
    <p class="small-text">${text}, ${Math.round(100 * share)} %.${share >= 1 ? " Requests to model servers are refused until the next period." : ""}</p>
  </li>`;
}

function Budgets({ budget }) {
  return html`<section class="card stack" aria-labelledby="budget-title"><h2 id="budget-title">Budgets</h2>
    ${budget.length > 0 ? html`<ul class="stack">${budget.map((item) => html`<${BudgetMeter} key=${item.name} budget=${item} />`)}</ul>`
    : html`<p class="muted">No budget is set. The operator of the service can set one, such as <code>SEMSEARCH_BUDGET__DAY_USD=5</code>.</p>`}
  </section>`;
}

function Servers({ health, rateLimits }) {
  const { upstreams = [], error } = health;
  return html`<section class="card stack" aria-labelledby="servers-title"><h2 id="servers-title">Model servers</h2>
    ${error && html`<${ErrorNote} error=${error} />`}
    ${!error && !upstreams.length && html`<p class="muted">No model server was called since the service was started.</p>`}
    ${upstreams.length > 0 && html`<ul class="stack">${upstreams.map((server) => html`<li key=${server.url}><${Server} server=${server}
      limits=${rateLimits.filter(({ endpoint }) => endpoint === server.url)} /></li>`)}</ul>`}
  </section>`;
}

function Server({ server, limits }) {
  const [kind, label, explain] = SERVER_STATES[server.state] ?? ["", server.state, () => ""];
  return html`<div class="stack tight"><div class="row spread"><h3>${server.url}</h3><span class=${`badge ${kind}`}>${label}</span></div>
    <p class="small-text">${explain(formatCount(Math.ceil(server.seconds), "second"))}</p>
    ${limits.map(({ model, rate_limits: rates }) => html`<p key=${model} class="small-text muted">${labelRates(model, rates)}</p>`)}</div>`;
}

function labelRates(model, rates) {
  const label = (noun, limit, remaining) => (limit === null || remaining === null ? null
    : `${formatNumber(remaining)} of ${formatNumber(limit)} ${noun} left`);
  const parts = [label("requests", rates.limit_requests, rates.remaining_requests), label("tokens", rates.limit_tokens, rates.remaining_tokens)];
  return `${model}, at its last reply: ${parts.filter(Boolean).join(", ") || "no rate limits reported"}.`;
}

function Index() {
  const { collections, error, isLoading } = useCollections();
  return html`<section class="card stack" aria-labelledby="index-title"><h2 id="index-title">Collections</h2>
    ${error && html`<${ErrorNote} error=${error} onRetry=${reloadCollections} />`}
    ${!error && !collections.length && (isLoading ? html`<${Spinner} />` : html`<p class="muted">There is no collection yet. Create one
      in <${Link} href="/documents">Documents<//>.</p>`)}
    ${collections.length > 0 && html`<div class="scroll"><table class="table"><caption class="visually-hidden">Size of each collection</caption>
      <thead><tr><th scope="col">Collection</th><th scope="col" class="number">Documents</th><th scope="col" class="number">Chunks</th>
        <th scope="col" class="wide-only">Embedder</th></tr></thead>
      <tbody>${collections.map(({ name, documents, chunks, embedder }) => html`<tr key=${name}>
        <th scope="row"><${Link} href=${`/documents?collection=${encodeURIComponent(name)}`}>${name}<//>
          <p class="meta narrow-only"><span>${embedder}</span></p></th>
        <td class="number">${formatNumber(documents)}</td><td class="number">${formatNumber(chunks)}</td><td class="wide-only">${embedder}</td></tr>`)}</tbody>
    </table></div>`}
  </section>`;
}

export default function UsageView() {
  useTitle("Usage");
  const { can } = useCaller();
  const { data, error, isLoading, reload } = useReports();
  useEffect(() => { reloadCollections(); }, []); // the sizes that the page read at its start may be old
  const reloadAll = () => { reload(); reloadCollections(); };
  return html`<div class="stack"><div class="row spread"><h1>Usage</h1>
      <button class="button" disabled=${isLoading} onClick=${reloadAll}>Refresh</button></div>
    ${error && html`<${ErrorNote} error=${error} onRetry=${reload} />`}
    ${!data && isLoading && html`<${Spinner} />`}
    ${data && html`<${UsageSections} data=${data} /><div class="halves"><${Budgets} budget=${data.budget} />
      <${Servers} health=${data.health} rateLimits=${data.rateLimits} /></div>`}
    ${can("search") && html`<${Index} />`}</div>`;
}
