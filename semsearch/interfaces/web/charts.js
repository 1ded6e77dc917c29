// Small bar charts as SVG. Their numbers are also in tables, so screen readers get a summary only.

import { html } from "./app.js";

const SLOT_WIDTH = 10, BAR_WIDTH = 8, HEIGHT = 100, MIN_BAR_HEIGHT = 1.5;

/** Bars of days: `days` has {name, value} with null for an unknown value; `format` writes a value. */
export function DayChart({ days, label, format }) {
  const highest = days.reduce((best, day) => ((day.value ?? 0) > (best.value ?? 0) ? day : best), days[0]);
  const scale = highest.value ? HEIGHT / highest.value : 0;
  const toHeight = (value) => (value ? Math.max(MIN_BAR_HEIGHT, value * scale) : 0);
  const summary = highest.value ? `Highest: ${format(highest.value)} on ${highest.name}.` : "Nothing on any day.";
  return html`<figure class="day-chart">
    <div class="small-text muted" aria-hidden="true">${format(highest.value ?? 0)}</div>
    <svg role="img" aria-label=${`${label} from ${days[0].name} to ${days.at(-1).name}. ${summary}`} preserveAspectRatio="none"
        viewBox=${`0 0 ${days.length * SLOT_WIDTH} ${HEIGHT}`}>
      ${days.map(({ name, value }, index) => html`<g key=${name}><title>${`${name}: ${value === null ? "unknown" : format(value)}`}</title>
        <rect class="slot" x=${index * SLOT_WIDTH} y="0" width=${SLOT_WIDTH} height=${HEIGHT} />
        <rect class=${value === null ? "day unknown" : "day"} x=${index * SLOT_WIDTH + 1} width=${BAR_WIDTH}
          y=${HEIGHT - (value === null ? HEIGHT : toHeight(value))} height=${value === null ? HEIGHT : toHeight(value)} /></g>`)}
    </svg>
    <div class="row spread small-text muted" aria-hidden="true"><span>${days[0].name}</span><span>${days.at(-1).name}</span></div>
  </figure>`;
}

/** The share of a part as a thin bar; the number stands beside it. */
export const ShareBar = ({ share }) => html`<svg class="share" aria-hidden="true" viewBox="0 0 100 4" preserveAspectRatio="none">
  <rect class="slot" width="100" height="4" /><rect class="day" width=${100 * Math.min(1, Math.max(0, share))} height="4" /></svg>`;
