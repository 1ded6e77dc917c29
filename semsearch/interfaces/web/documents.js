// The view "Documents".

import { html, useTitle } from "./app.js";

export default function DocumentsView() {
  useTitle("Documents");
  return html`<h1>Documents</h1>`;
}
