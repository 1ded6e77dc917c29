// The view "Source".

import { html, useTitle } from "./app.js";

export default function SourceView() {
  useTitle("Source");
  return html`<h1>Source</h1>`;
}
