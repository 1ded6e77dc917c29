// The state of a conversation: its turns, the streamed answer, its session, and what of them is in the URL.

import { announce, api, collectionPath, isAborted, navigate, useCollections, useEffect, useLocation, useRef, useState } from "./app.js";

/** The options of a question that the URL holds. */
export const OPTION_NAMES = ["profile", "policy", "k", "filter"];

const NEW_TURN = { status: "streaming", text: "", passages: [], hits: [], answer: null, error: null, changes: [],
  feedback: null, isStale: false };

/** Return the turns and what can be done with them. A turn's `status` is streaming, done, failed, stopped or recorded. */
export function useConversation() {
  const { params } = useLocation();
  const { current: collection } = useCollections();
  const [turns, setTurns] = useState([]);
  const [load, setLoad] = useState({ isLoading: false, error: null });
  const [discarded, setDiscarded] = useState(0);
  const shown = useRef({ session: null, answer: null });
  const controller = useRef(null);
  const nextKey = useRef(1);

  const change = (key, changes) => setTurns((all) => all.map((turn) => (turn.key === key
    ? { ...turn, ...(typeof changes === "function" ? changes(turn) : changes) } : turn)));
  const show = (session, answer) => { shown.current = { session: session ?? null, answer: answer ?? null }; };
  const restart = () => {
    controller.current?.abort();
    controller.current = new AbortController();
    return controller.current.signal;
  };

  const forgetSession = (answer) => {
    show(null, answer);
    navigate({ session: null }, { replace: true });
  };

  const restore = async () => {
    show(params.session, params.answer);
    const signal = restart();
    setTurns([]);
    setLoad({ isLoading: Boolean(params.session || params.answer), error: null });
    if (!params.session && !params.answer) return;
    try {
      const conversation = await fetchConversation(params, signal);
      if (conversation.isSessionGone) forgetSession(params.answer);
      if (conversation.collection !== collection) navigate({ collection: conversation.collection }, { replace: true });
      setTurns(conversation.turns.map((turn) => ({ ...NEW_TURN, ...turn, key: nextKey.current++ })));
      setLoad({ isLoading: false, error: null });
    } catch (error) {
      if (isAborted(error)) return;
      if (isSessionGone(error)) show(null, params.answer); // the next question begins a new one
      setLoad({ isLoading: false, error });
    }
  };
  useEffect(() => {
    const isShown = shown.current.session === (params.session ?? null) && shown.current.answer === (params.answer ?? null);
    if (!isShown) restore();
  }, [params.session, params.answer]);
  useEffect(() => () => { controller.current?.abort(); controller.current = null; }, []);

  const run = async ({ key, question, options }) => {
    const signal = restart();
    change(key, ({ text, passages }) => ({ ...NEW_TURN, text, passages, isStale: Boolean(text) })); // kept until something arrives
    const onEvent = (name, data) => signal.aborted || change(key, (turn) => applyEvent(turn, name, data));
    setLoad({ isLoading: false, error: null });
    const before = shown.current;
    let { session } = before, answer = null, failure = null;
    try {
      session ??= await beginSession(collection, signal);
      show(session, before.answer);
      navigate({ session, q: question, collection }, { replace: true });
      const body = { question, stream: true, session_id: session, ...options };
      await api.stream(collectionPath(collection, "ask"), body, (name, data) => {
        if (name === "answer") answer = data;
        if (name === "error") failure = data;
        onEvent(name, data);
      }, { signal });
    } catch (error) {
      failure = error;
    }
    if (answer) end(session, answer, signal);
    else fail(key, failure, signal, { before, session });
  };
  const end = (session, answer, signal) => {
    if (signal.aborted) return;
    show(session, answer.id);
    navigate({ answer: answer.id }, { replace: true });
    announce(describeEnd(answer));
  };
  /** Show why there is no answer, and leave a session that was begun for it or is gone, so that Retry begins a new one. */
  const fail = (key, failure, signal, { before, session }) => {
    const isGone = before.session !== null && isSessionGone(failure);
    change(key, isAborted(failure) ? { status: "stopped" } : { status: "failed", error: isGone ? goneSessionError() : failure });
    announce(isAborted(failure) ? "Stopped." : "The answer is incomplete.");
    const isNew = before.session === null && session !== null;
    const isCurrent = controller.current?.signal === signal;
    if (isCurrent && (isNew || isGone)) forgetSession(before.answer);
    if (isCurrent && isNew) discardSession(session).then(() => setDiscarded((count) => count + 1));
  };
  /** Read the answer of an earlier turn with its citations. */
  const openAnswer = async (turn) => {
    change(turn.key, { isOpening: true, error: null });
    try {
      const record = await api.get(`/v1/answers/${encodeURIComponent(turn.answerId)}`);
      change(turn.key, { ...makeRecordedTurn(record), isOpening: false });
      announce(describeEnd(record.answer));
    } catch (error) {
      change(turn.key, { isOpening: false, error });
    }
  };
  const ask = (question) => {
    const turn = { ...NEW_TURN, key: nextKey.current++, question, options: readOptions(params) };
    setTurns((all) => [...all, turn]);
    run(turn);
  };
  const isStreaming = turns.some(({ status }) => status === "streaming");
  return {
    collection, turns, ...load, discarded, isStreaming, session: params.session ?? null, ask, change, openAnswer,
    retry: (turn) => run({ ...turn, options: readOptions(params) }), // they may have been the cause
    stop: () => controller.current?.abort(),
    reload: restore,
    clear: () => navigate({ session: null, answer: null, q: null }),
  };
}

function applyEvent({ text, isStale }, name, data) {
  const start = isStale ? { ...NEW_TURN, isStale: false } : {};
  if (name === "delta") return { ...start, text: (isStale ? "" : text) + data.text };
  if (name === "passages") return { ...start, passages: data.passages };
  if (name === "sources") return { ...start, hits: data.hits };
  if (name === "answer") return { ...start, status: "done", answer: data, text: data.answer, passages: data.passages, hits: data.hits };
  return name === "error" ? { status: "failed", error: data } : {};
}

function describeEnd({ kind, citations }) {
  if (kind === "passages") return "Nothing clearly answers this. The closest passages are shown.";
  return `${kind === "generated" ? "The answer is complete" : "The best excerpt is shown"}: citations ${citations.length}.`;
}

const beginSession = async (collection, signal) => (await api.post("/v1/sessions", { collection }, { signal })).id;

/** Return whether an error says that a session was deleted, has expired, or belongs to a collection that was deleted. */
const isSessionGone = ({ status, detail }) => status === 404 || (status === 409 && detail.startsWith("the session"));

const goneSessionError = () => ({ title: "This conversation cannot be continued", status: 404,
  detail: "It was deleted or has expired. Retry begins a new conversation, which does not know the questions above." });

/** Delete a session unless it has turns: the server may have finished an answer that did not arrive. */
async function discardSession(session) {
  const path = `/v1/sessions/${encodeURIComponent(session)}`;
  try {
    const { turns } = await api.get(path);
    if (!turns.length) await api.del(path);
  } catch {
    // the list of conversations has it, to be deleted there
  }
}

/** Return the collection and turns of a session. Only the answer that the URL names has its citations at once; it remains
    when its session is gone. */
async function fetchConversation({ session, answer }, signal) {
  const read = (kind, id) => (id ? api.get(`/v1/${kind}/${encodeURIComponent(id)}`, { signal }) : null);
  const [opened, recorded] = await Promise.allSettled([read("sessions", session), read("answers", answer)]);
  signal.throwIfAborted();
  const conversation = opened.value ?? null, record = recorded.value ?? null;
  const isGone = opened.status === "rejected" && record !== null && isSessionGone(opened.reason);
  if (opened.status === "rejected" && !isGone) throw opened.reason;
  if (!conversation && !record) throw recorded.reason;
  const turns = (conversation?.turns ?? []).map(({ question, answer: text, answer_id: answerId }) =>
    ({ question, text, answerId: answerId ?? null, status: "recorded" }));
  if (record) {
    const own = turns.findLastIndex(({ answerId, question }) =>
      (answerId === null ? question === record.question : answerId === record.answer.id)); // sessions of earlier versions have no ids
    turns.splice(own < 0 ? turns.length : own, own < 0 ? 0 : 1, makeRecordedTurn(record));
  }
  return { collection: conversation?.collection ?? record.collection, turns, isSessionGone: isGone };
}

const makeRecordedTurn = ({ question, answer, changes, feedback }) => ({
  question, answer, changes, feedback: feedback ?? null, status: "done",
  text: answer.answer, passages: answer.passages, hits: answer.hits,
});

/** Return the fields of the request; the server validates them. */
function readOptions({ profile, policy, k, filter }) {
  return {
    ...(profile && { profile }), ...(policy && { policy }), ...(k && { k: Number(k) }), ...(filter && { filter: tryParse(filter) }),
  };
}

function tryParse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
