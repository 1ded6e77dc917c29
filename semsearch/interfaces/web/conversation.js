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

  const restore = async () => {
    show(params.session, params.answer);
    const signal = restart();
    setTurns([]);
    setLoad({ isLoading: Boolean(params.session || params.answer), error: null });
    if (!params.session && !params.answer) return;
    try {
      const conversation = await fetchConversation(params, signal);
      if (conversation.collection !== collection) navigate({ collection: conversation.collection }, { replace: true });
      setTurns(conversation.turns.map((turn) => ({ ...NEW_TURN, ...turn, key: nextKey.current++ })));
      setLoad({ isLoading: false, error: null });
    } catch (error) {
      if (!isAborted(error)) setLoad({ isLoading: false, error });
    }
  };
  useEffect(() => {
    const isShown = shown.current.session === (params.session ?? null) && shown.current.answer === (params.answer ?? null);
    if (!isShown) restore();
  }, [params.session, params.answer]);
  useEffect(() => () => controller.current?.abort(), []);

  const run = async ({ key, question, options }) => {
    const signal = restart();
    change(key, ({ text, passages }) => ({ ...NEW_TURN, text, passages, isStale: Boolean(text) })); // kept until something arrives
    const onEvent = (name, data) => signal.aborted || change(key, (turn) => applyEvent(turn, name, data));
    try {
      const session = shown.current.session ?? await beginSession(collection, signal);
      show(session, null);
      navigate({ session, answer: null, q: question, collection }, { replace: true });
      const body = { question, stream: true, session_id: session, ...options };
      let answer = null;
      await api.stream(collectionPath(collection, "ask"), body, (name, data) => {
        if (name === "answer") answer = data;
        onEvent(name, data);
      }, { signal });
      if (answer && !signal.aborted) {
        show(session, answer.id);
        navigate({ answer: answer.id }, { replace: true });
      }
      announce(answer ? describeEnd(answer) : "The answer is incomplete.");
    } catch (error) {
      change(key, isAborted(error) ? { status: "stopped" } : { status: "failed", error });
      announce(isAborted(error) ? "Stopped." : "The answer is incomplete.");
    }
  };
  const ask = (question) => {
    const turn = { ...NEW_TURN, key: nextKey.current++, question, options: readOptions(params) };
    setTurns((all) => [...all, turn]);
    run(turn);
  };
  const isStreaming = turns.some(({ status }) => status === "streaming");
  return {
    collection, turns, ...load, isStreaming, session: params.session ?? null, ask, change,
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

/** Return the collection and turns of a session. Only the answer that the URL names has its citations again. */
async function fetchConversation({ session, answer }, signal) {
  const [conversation, record] = await Promise.all([
    session ? api.get(`/v1/sessions/${encodeURIComponent(session)}`, { signal }) : null,
    answer ? api.get(`/v1/answers/${encodeURIComponent(answer)}`, { signal }).catch((error) => {
      if (!session || isAborted(error)) throw error;
      return null; // the session has the text of the answer
    }) : null,
  ]);
  const turns = (conversation?.turns ?? []).map(({ question, answer: text }) => ({ question, text, status: "recorded" }));
  if (record) {
    if (turns.at(-1)?.question === record.question) turns.pop();
    turns.push(makeRecordedTurn(record));
  }
  return { collection: conversation?.collection ?? record.collection, turns };
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
