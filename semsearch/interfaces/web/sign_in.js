// The view that asks for an access key, over the whole window. The key is sent once, for a cookie that scripts cannot read.

import { completeSignIn, ErrorNote, html, sendOnce, useEffect, useLayoutEffect, useRef, useState } from "./app.js";

const KEY = /^sk_[0-9a-z]{12}_[0-9A-Za-z_-]{43}$/; // no other text is sent: it may be a password for something else
const UNAUTHORIZED = 401;

/** Exchange a key for the cookie. */
export const exchangeKey = (key) => sendOnce("POST", "/v1/sign-in", { headers: { Authorization: `Bearer ${key}` } });

/** Sign in with a key; return who the caller is now. */
async function signIn(key) {
  if (!KEY.test(key)) throw { title: "This is not an access key", detail: "A key begins with sk_ and has 59 characters. Copy all of it." };
  try {
    await exchangeKey(key);
  } catch (error) {
    if (error.status !== UNAUTHORIZED) throw error;
    throw { title: "This key is not valid", detail: "It is mistyped, expired or revoked. Ask the operator of this service for another one." };
  }
  try {
    return await (await sendOnce("GET", "/v1/me")).json();
  } catch (error) {
    if (error.status !== UNAUTHORIZED) throw error;
    throw { title: "The browser did not keep the cookie", detail: "The key is valid. Allow cookies for this address, then sign in again." };
  }
}

/** Show an element as a dialog until it is removed: Escape does not close it. */
function useLastingDialog(dialog, field) {
  useLayoutEffect(() => {
    const element = dialog.current, opener = document.activeElement;
    const show = () => { if (element.isConnected && !element.open) { element.showModal(); field.current.focus(); } };
    const keepOpen = (event) => event.preventDefault();
    element.addEventListener("cancel", keepOpen);
    element.addEventListener("close", show); // a browser closes it at the second Escape
    show();
    return () => {
      element.removeEventListener("close", show);
      element.close();
      if (opener?.isConnected) opener.focus();
    };
  }, []);
}

/** Show this title until the view is left; that of the view below remains what it is. */
function useTitleMeanwhile(title) {
  useEffect(() => {
    const before = document.title;
    document.title = title;
    return () => { if (document.title === title) document.title = before; };
  }, []);
}

/** `isFirst` says that nothing was shown before. */
export default function SignInView({ isFirst }) {
  const [{ error, isBusy }, setState] = useState({ error: null, isBusy: false });
  const dialog = useRef(null), field = useRef(null);
  useLastingDialog(dialog, field);
  useTitleMeanwhile("Sign in – semsearch");
  const submit = async (event) => {
    event.preventDefault();
    if (isBusy) return;
    const key = field.current.value.trim();
    field.current.value = "";
    setState({ error: null, isBusy: true });
    try {
      completeSignIn(await signIn(key));
    } catch (cause) {
      setState({ error: cause, isBusy: false });
      field.current?.focus();
    }
  };
  return html`<dialog class="sign-in" ref=${dialog} closedby="none" aria-labelledby="sign-in-title" aria-describedby="sign-in-reason">
    <form class="card stack" onSubmit=${submit}>
      <p class="brand">semsearch</p>
      <h1 id="sign-in-title">Sign in</h1>
      <p id="sign-in-reason">${isFirst ? "This service needs an access key. The operator creates it."
        : "Your access key is no longer valid: it was revoked, or has expired. Sign in with another one to go on."}</p>
      <div class="field"><label for="access-key">Access key</label>
        <input id="access-key" ref=${field} type="password" autocomplete="current-password" autocapitalize="none" spellcheck=${false}
          maxlength="200" aria-invalid=${Boolean(error)} aria-describedby="access-key-problem" /></div>
      <div id="access-key-problem">${error && html`<${ErrorNote} error=${error} />`}</div>
      <div><button class="button primary" disabled=${isBusy}>${isBusy ? "Signing in…" : "Sign in"}</button></div>
      <p class="muted small-text">The browser keeps a cookie for 30 days, not the key. Sign out on a computer that others use.</p>
    </form></dialog>`;
}
