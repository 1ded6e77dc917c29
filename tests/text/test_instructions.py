"""strip_instructions: what says how to answer is removed, what is asked stays."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semsearch.text.analyzer import extract_content_terms
from semsearch.text.instructions import strip_instructions

QUESTION = "How long is parental leave?"


@pytest.mark.parametrize(
    "instruction",
    [
        "Answer with the full number.",
        "Please answer briefly.",
        "Give the exact date.",
        "Respond in one sentence",
        "Be concise",
        "Be as precise and short as possible.",
        "Explain step by step.",
        "Cite your sources.",
        "If you don't know, say so.",
        "If the answer is not in the documents, reply that you don’t know.",
        "Use bullet points",
        "Reply in German",
        "Name the number and quote the relevant passage.",
        "Keep your answer under 50 words. Do not make anything up.",
        "Provide the exact figure with units.",
        "(Answer in one word)",
        "Just the number, please.",
        "Thanks in advance!",
        "Antworte kurz.",
        "Bitte antworten Sie auf Deutsch.",
        "Répondez en une phrase.",
        "Responde brevemente. Gracias",
    ],
)
def test_sentence_about_the_form_of_the_answer_is_removed(instruction: str) -> None:
    """Four languages, with any punctuation."""
    assert strip_instructions(f"{QUESTION} {instruction}") == QUESTION


@pytest.mark.parametrize(
    ("question", "stripped"),
    [
        ("Hi, how long is parental leave?", "how long is parental leave?"),
        ("Can you tell me how long parental leave is?", "how long parental leave is?"),
        ("Hello! I would like to know who built the castle.", "who built the castle."),
        ("Please tell me what the limit is.", "what the limit is."),
        ("Answer in one word: what is the capital of France?", "what is the capital of France?"),
        ("In one sentence, what is ownership?", "what is ownership?"),
        ("What is the capital of France, in one word?", "What is the capital of France?"),
        ("How do I deploy step by step?", "How do I deploy?"),
        ("who ruled Normandy Answer with the full name.", "who ruled Normandy."),
        ("Kannst du mir sagen, wie lange die Elternzeit dauert?", "wie lange die Elternzeit dauert?"),
        ("¿Puedes decirme cuándo se construyó el castillo?", "cuándo se construyó el castillo?"),
        ("Bonjour, pouvez-vous me dire quand il a été construit ?", "quand il a été construit ?"),
    ],
)
def test_clause_around_the_question_is_removed(question: str, stripped: str) -> None:
    """Greetings, polite forms and trailing instructions go; the question stays as it is written."""
    assert strip_instructions(question) == stripped


@pytest.mark.parametrize(
    "question",
    [
        "Explain the steps to deploy",
        "List the supported formats",
        "Give the address of the office",
        "Give the exact date of the battle of Hastings.",
        "Give the exact date.",
        "Answer briefly.",
        "Hi!",
        "How do I answer with JSON in FastAPI?",
        "How do I write a short, clear answer?",
        "How do I use a table in markdown?",
        "What is 'house' in German?",
        "How do I say thank you in French?",
        "What issues may members vote on as they please?",
        "If you do not have a visa, what happens?",
        "Do not use eval. What else is there?",
        "Tell me about Normandy.",
        "How long do cats live, on average, in Germany?",
        "Describe the process.  Which forms are needed?",
        "",
    ],
)
def test_content_stays(question: str) -> None:
    """An imperative that is the only sentence is the question, and only whole clauses are instructions."""
    assert strip_instructions(question) == question


@given(st.text(max_size=200))
def test_question_with_content_keeps_some(question: str) -> None:
    """Whatever is removed, a question never becomes a stub without a content word."""
    stripped = strip_instructions(question)
    assert bool(extract_content_terms(stripped)) == bool(extract_content_terms(question))


@pytest.mark.parametrize("part", ["answer, ", "if you know ", "please ", "( ", "give the exact, ", "a: "])
def test_long_question_takes_little_time(part: str) -> None:
    """No pattern takes more than linear time on hostile input."""
    started = time.process_time()
    strip_instructions(part * 1_000)
    assert time.process_time() - started < 1
