// The view "Ask".

import { html, useTitle } from "./app.js";

export default function AskView() {
  useTitle("Ask");
  return html`<h1>Ask</h1>`;
}
