"""From an answer request to how it is answered: validation, profile, policy, answerer and queries."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import get_args

from ..core.errors import InvalidError
from ..core.ports import Answerer, Embedder
from ..core.settings import MAX_TEMPERATURE, MAX_TOKENS
from ..core.types.answer_requests import AnswerRequest, GenerationOptions, Profile, SupportPolicy
from ..core.types.answers import Turn
from ..core.types.filters import Filter
from ..core.types.search import SearchMode
from ..core.types.usage import RequestContext
from ..search.requests import build_queries
from ..search.retrieval import Query, validate_k
from ..text.cleaning import validate_query
from ..text.instructions import strip_instructions
from .answerers import AnswererDeps, make_answerer, make_evidence_ranker
from .judging import make_judge
from .pipeline import AnswerConfig
from .profiles import DEFAULT_PROFILE, PROFILES
from .prompt_files import Prompt, get_default_prompt, read_prompt


def validate_answer_request(request: AnswerRequest) -> AnswerRequest:
    """Return the request with its question cleaned; InvalidError if a field is not allowed."""
    if request.k is not None:
        validate_k(request.k)
    _validate_options(request.options)
    return replace(request, question=validate_query(request.question))


def choose_answer_config(
    options: GenerationOptions, session_profile: str | None, embedder: Embedder, deps: AnswererDeps
) -> AnswerConfig:
    """Return how a request is answered: as its options say, else the profile, else the settings.

    The profile is that of the options, else of the session. InvalidError if there is none of this name.
    """
    settings = deps.settings
    profile = find_profile(options.profile or session_profile, settings.profiles)
    prompt = _choose_prompt(profile, deps)
    answerer, warnings = make_answerer(options, profile, embedder, replace(deps, prompt=prompt))
    ranker = make_evidence_ranker(embedder, deps)
    judge = None if answerer.is_extractive else make_judge(deps)
    policy = options.policy or profile.policy or settings.policy
    prompt_version = "" if answerer.is_extractive else prompt.version
    return AnswerConfig(answerer, policy, profile, warnings, ranker, judge, prompt_version)


async def build_answer_queries(
    question: str,
    history: Sequence[Turn],
    filter: Filter | None,
    embedder: Embedder,
    answerer: Answerer,
    context: RequestContext,
    mode: SearchMode = "hybrid",
) -> list[Query]:
    """Return the query of a question without its instructions; for a follow-up, that of a condensed question.

    An answerer without a model cannot condense. The follow-up is then searched in two ways: alone, and joined with the
    questions before it.
    """
    earlier_questions = [turn.question for turn in history]
    if history:
        condensed = await answerer.condense(question, history, context.with_purpose("condense"))
        if condensed is not None:
            question, earlier_questions = validate_query(condensed), []
    earlier = [strip_instructions(text) for text in earlier_questions]
    first, *others = build_queries(strip_instructions(question), earlier, filter, mode, embedder)
    return [replace(first, full_text=question), *others]


def _choose_prompt(profile: Profile, deps: AnswererDeps) -> Prompt:
    """Return the prompt of a chat model; its file is not read if there is no chat model."""
    path = profile.prompt_file or deps.settings.prompt_file
    if deps.prompt is not None or path is None or deps.settings.chat_model is None:
        return deps.prompt or get_default_prompt()
    return read_prompt(path)


def find_profile(name: str | None, own_profiles: Mapping[str, Profile]) -> Profile:
    """Return a profile of the settings or a built-in one, the default for None; InvalidError if there is none."""
    if name is None:
        return DEFAULT_PROFILE
    profiles = {**PROFILES, **own_profiles}
    if name not in profiles:
        raise InvalidError(f"there is no profile {name[:80]!r}; there are {', '.join(sorted(profiles))}")
    return profiles[name]


def _validate_options(options: GenerationOptions) -> None:
    """InvalidError if an option is out of bounds: a negative `max_tokens` would count against no budget."""
    if options.model is not None and not options.model.strip():
        raise InvalidError("the model's name is empty; name a model, or leave it out to use the configured one")
    if options.max_tokens is not None and not 1 <= options.max_tokens <= MAX_TOKENS:
        raise InvalidError(f"max_tokens is between 1 and {MAX_TOKENS:,}, not {options.max_tokens}")
    if options.temperature is not None and not 0 <= options.temperature <= MAX_TEMPERATURE:
        raise InvalidError(f"temperature is between 0 and {MAX_TEMPERATURE:g}, not {options.temperature}")
    if options.policy is not None and options.policy not in get_args(SupportPolicy):
        raise InvalidError(f"the policy is one of {', '.join(get_args(SupportPolicy))}, not {options.policy!r}")
