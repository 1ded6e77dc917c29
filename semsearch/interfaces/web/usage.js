// The view "Usage".

import { html, useTitle } from "./app.js";

export default function UsageView() {
  useTitle("Usage");
  return html`<h1>Usage</h1>`;
}
