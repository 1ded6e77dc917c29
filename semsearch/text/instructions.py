"""Remove from a question what says how to answer it, such as "Answer briefly.", greetings and thanks.

Search and scoring compare the words of a question with those of documents; an instruction has other words. Recognised
are common forms in English, German, French and Spanish. Patterns match whole sentences or clauses, so that "Explain
the steps to deploy" stays: content that is kept by mistake costs little, content that is removed costs the answer.
"""

import re
from functools import cache

from .analyzer import extract_content_terms
from .sentences import split_sentences

_LANGUAGE = (
    r"(?:plain |simple |american |british )?(?:english|german|french|spanish|italian|portuguese|dutch|polish|russian"
    r"|ukrainian|turkish|arabic|hebrew|hindi|chinese|japanese|korean|swedish|danish|norwegian|finnish|czech|greek)"
)
_COUNT = r"(?:\d{1,4}|an?|one|two|three|four|five|six|ten|a single|a few|fifty|a hundred)"
_LENGTH = (
    rf"{_COUNT}(?: (?:short|simple|brief|full|complete))?[ -](?:words?|sentences?|lines?|paragraphs?|bullet points?)"
)
_LIMIT = r"(?:in|with|within|using)(?: (?:at most|no more than|not more than|less than|fewer than|under|about|max))?"
_LAYOUT = r"(?:bullet points|bullets|(?:a )?bulleted list|(?:a )?numbered list|(?:a )?table|(?:the )?markdown|json)"
_PLAIN = r"(?:simple|plain|easy|layman'?s|lay|non-technical|everyday|your own) (?:words|terms|language|english)"
_SHORT_FORM = (
    rf"{_LIMIT} {_LENGTH}(?: or (?:less|fewer))?|in (?:bullet points|bullets)|(?:in|with|using) {_PLAIN}|step by step"
)
_FORM = (
    rf"(?:{_SHORT_FORM}|(?:in|with|as|using) {_LAYOUT}|in (?:brief|short|detail|full)|briefly|concisely"
    r"|(?:very )?shortly|as (?:briefly|shortly|concisely) as possible|with (?:sources|references|citations))"
)
_ADJECTIVE = (
    r"(?:exact|precise|full|complete|entire|whole|short|brief|concise|detailed|final|correct|single|specific|simple"
    r"|direct|clear|one-word|one-sentence|yes/no|yes or no|step-by-step|long|thorough|accurate|honest|relevant)"
)
_ANSWER_PART = (
    r"(?:answers?|response|reply|explanation|reasons?|reasoning|numbers?|figures?|digits?|values?|amount|units?|dates?"
    r"|years?|names?|words?|sentences?|titles?|urls?|links?|details|summary|sources?|references?|citations?|evidence"
    r"|quotes?|passages?|pages?|page numbers?|sections?|documents?|examples?|result)"
)
_NOUN = (
    rf"(?:(?:me|us|only|just|also|the|an?|your|all|any|at least|one|and|its|their|{_ADJECTIVE}),? ){{0,6}}"
    rf"{_ANSWER_PART}"
)
_PART = rf"{_NOUN}(?:(?:,|,? and|,? or| with| including) {_NOUN}){{0,3}}"
_OF_ANSWER = (
    rf"(?: (?:only|too|as well|if possible|where possible|if you can|for (?:it|this|that|your answers?|each answer)"
    rf"|used|you used|(?:to|for|in) (?:the|my|this) question|(?:in|with) your (?:answer|reply|response)|{_FORM}))*"
)
_SOURCE = (
    r"(?:the |these |this |my |our )?(?:provided|given|above|following|attached|supplied|available|retrieved)?"
    r" ?(?:documents?|context|text|texts|passages?|sources?|information|material|excerpts?)"
    r"(?: (?:above|below|provided|given))?"
)
_ANSWER_STYLE = (
    r"(?:very |as )?(?:concise|brief|short|specific|precise|exact|honest|detailed|thorough|accurate|succinct|clear"
    r"|factual|to the point|polite|truthful|simple|terse|helpful)(?: as (?:possible|you can))?"
)
_REQUEST = (
    r"(?:(?:and|but|also|then|just|so|now|only|please|kindly|you (?:must|should|may|can)|always|make sure to"
    r"|be sure to|try to|remember to|i (?:want|need|would like) you to|i'd like you to"
    r"|(?:can|could|would|will) you(?: please)?),? )*"
)

_ENGLISH_INSTRUCTIONS = (
    rf"(?:answer|reply|respond)(?: (?:this|it|the question|me|back))?(?:$|:| (?:with|in|by|only|just|using|as|based"
    rf"|from|like|exactly|honestly|truthfully|precisely|carefully|directly|accurately|fully|yes or no|{_FORM})\b).*",
    r"(?:your |the )(?:answer|reply|response)s? (?:should|must|has to|needs? to|can|may|is to) .*",
    rf"(?:i (?:want|need|would like|expect|prefer)|i'd like)(?: only| just)? (?:the |an? )(?:{_ADJECTIVE}(?:,| and)? )+"
    rf"{_ANSWER_PART}{_OF_ANSWER}",
    rf"(?:give|provide|state|write|return|output|use|include|quote|cite|name|mention|add|print|specify|tell"
    rf"|report|supply|indicate) {_PART}{_OF_ANSWER}",
    r"(?:list|show) (?:(?:me|all|the|your|any) )*(?:sources|references|citations|reasoning|work)(?: used| you used)?",
    rf"(?:only|just|no) (?:the |an? )?(?:{_ADJECTIVE} )*{_ANSWER_PART}",
    r"(?:a )?(?:short|brief|one-word) (?:answer|reply|response)s? (?:only|please|is enough|is fine|will do)",
    r"yes or no(?: only)?",
    rf"be {_ANSWER_STYLE}(?:,? (?:and |but )?{_ANSWER_STYLE})*(?: (?:in|with) your (?:answer|reply|response))?",
    r"keep (?:it|this|your (?:answer|reply|response)|the (?:answer|reply|response))\b.*",
    r"limit (?:yourself|it|your (?:answer|reply|response)|the (?:answer|reply|response)) .*",
    rf"(?:explain|describe|show|think|work|go through)(?: (?:it|this|that|through|your (?:answer|reasoning|thinking)"
    rf"|why|how you know|like i'?m (?:five|5)|to me))*(?: {_FORM})?",
    rf"(?:use|write in|write|summari[sz]e(?: it)?|format (?:it|your answer|the answer) as)(?: (?:only|it))?"
    rf" (?:{_LAYOUT}|{_PLAIN}|{_LANGUAGE}|{_SOURCE}|{_FORM})(?: only)?",
    rf"(?:no more than|not more than|at most|maximum|max\.?|up to|under|less than) {_LENGTH}",
    rf"(?:{_LENGTH}(?: only| max(?:imum)?| at most)?|{_FORM}|in {_LANGUAGE})",
    r"if (?:you|there|it|the|no|nothing|none)\b[^?]*\b(?:know|sure|certain|find|answer|information|documents?|context)"
    r"\b[^?]*\b(?:say|state|tell|answer|reply|respond|admit|write|return)\b[^?]*",
    r"(?:say|just say|tell me|admit)(?: so)? (?:if|when) (?:you|it|the answer|there)\b[^?]*\b(?:know|sure|find|answer"
    r"|documents?|context|information)\b[^?]*",
    r"(?:do not|don't|never) (?:make (?:it|this|that|things|anything|something|stuff)? ?up|invent|guess|hallucinate"
    r"|speculate|repeat (?:the|my) question|elaborate|explain|apologi[sz]e|add (?:anything|commentary|explanations?"
    r"|any .*)|use (?:any )?(?:prior|outside|external|your own) knowledge)\b.*",
    rf"(?:based|relying) (?:only |solely )?on {_SOURCE}",
    r"(?:take|think|let'?s think|let us think)(?: about it)? (?:a deep breath|step by step|carefully)",
)
_OTHER_INSTRUCTIONS = (
    r"(?:bitte )?(?:antworten?|antworte|beantworte|erkläre|begründe)(?: (?:sie|mir|bitte|die frage|deine antwort"
    r"|ihre antwort|es))*(?:$| (?:kurz|knapp|ausführlich|genau|präzise|nur|in|auf|mit|als|so|schritt für schritt)\b).*",
    r"(?:bitte )?(?:fasse? dich|fassen sie sich|halte? dich|halten sie sich) kurz",
    r"(?:bitte )?(?:kurze? antwort|kurz(?: und (?:knapp|bündig))?|in einem (?:satz|wort)|stichpunktartig"
    r"|in stichpunkten|auf (?:deutsch|englisch|französisch|spanisch))(?: bitte)?",
    r"(?:bitte )?(?:nenne?|gib|geben sie|nennen sie|zitiere?|zitieren sie)(?: (?:bitte|mir|nur|auch|die|das|den"
    r"|deine|ihre|genaue[ns]?|vollständige[ns]?|exakte[ns]?))* (?:datum|zahl|namen?|jahr|betrag|wert|quellen?|antwort)"
    r"(?: an)?",
    r"wenn du (?:es )?(?:nicht|die antwort nicht) .*\bsag\w*\b.*|wenn sie (?:es )?nicht .*\bsagen\b.*",
    r"(?:merci de )?(?:réponds|répondez|répondre)(?:$| .*)|(?:sois|soyez) (?:bref|brève|concis|concise|précis|précise)",
    r"(?:cite|citez|indique|indiquez|donne|donnez)(?: moi)?(?: (?:seulement|uniquement))? (?:tes|vos|les|la|le|l')"
    r" ?(?:sources?|références|date|nombre|année|nom)(?: (?:exacte?|complet|complète|précise?))?",
    r"en (?:un mot|une phrase|français|anglais)(?: s'il (?:te|vous) plaît)?",
    r"(?:por favor,? )?(?:responde|responda|contesta|conteste)(?:$| .*)|(?:sé|sea) (?:breve|conciso|concisa|preciso)",
    r"(?:cita|cite|indica|indique|da|dé)(?:me)?(?: (?:solo|sólo))? (?:tus|sus|las|los|la|el) (?:fuentes|referencias"
    r"|fecha|número|año|nombre)(?: (?:exact[ao]|complet[ao]))?",
    r"en (?:una palabra|una frase|una oración|español|inglés)(?: por favor)?",
)
_COURTESIES = (
    r"(?:hi|hello|hey|hallo|hola|bonjour|salut|dear|good (?:morning|afternoon|evening|day)|guten (?:tag|morgen|abend)"
    r"|buenos días|buenas tardes)(?: (?:there|all|everyone|everybody|team|assistant|again|zusammen|à tous|a todos"
    r"|support|folks|guys|bot))?",
    r"(?:many |mille )?(?:thanks?|thx|thank you|cheers|danke|vielen dank|merci|gracias|muchas gracias)(?: (?:a lot"
    r"|so much|very much|you|in advance|again|for (?:your|the|any) help|schön|sehr|im voraus|d'avance|beaucoup"
    r"|de antemano))*",
    r"(?:please|kindly|bitte|s'il (?:te|vous) plaît|por favor)",
    r"(?:please |kindly )?help(?: me)?(?: with this| out)?|any help (?:is|would be) (?:much |greatly )?appreciated",
    r"(?:i have|i've got) a (?:quick |short |small |simple )?question(?: for you)?|(?:quick |my )?question",
    r"(?:best |kind )?regards|(?:mit )?(?:freundlichen|viele|beste) grüße[n]?",
)
_WH = (
    r"(?:what|which|who|whom|whose|where|when|why|how|if|whether|the|was|welche\w*|wer|wem|wen|wo|wann|warum|wie|ob"
    r"|quel\w*|qui|où|quand|pourquoi|comment|combien|si|ce que|qué|cuál\w*|quién\w*|dónde|cuándo|por qué|cómo|cuánt\w*)"
)
_LEADING_REQUEST = (
    r"^[¿\s]*(?:(?:please|kindly|bitte|por favor)\b,?\s+(?=\w)|(?:"
    r"(?:(?:can|could|would|will) (?:you|someone|anyone|somebody|anybody) )?(?:please |kindly |just |perhaps )?"
    r"(?:tell (?:me|us)|let (?:me|us) know|explain to (?:me|us))(?: please)?"
    r"|(?:do you|does (?:any|some)(?:one|body)|would you)(?: happen to)? know"
    r"|i(?: would|'d) (?:like|love|need) to (?:know|learn|find out|understand)|i (?:want|need|wish) to (?:know|find out"
    r"|understand)|i(?: am|'m| was)? (?:wonder(?:ing)?|trying to (?:find out|understand))"
    r"|my question is|the question is"
    r"|(?:kannst du|könntest du|können sie|könnten sie) (?:mir |uns )?(?:bitte )?(?:sagen|erklären)"
    r"|(?:bitte )?(?:sag|sage|sagen sie|erkläre?) mir(?: bitte)?|(?:weißt du|wissen sie)"
    r"|ich (?:möchte|würde)(?: gerne?)? wissen"
    r"|(?:peux-tu|pouvez-vous|pourrais-tu|pourriez-vous) me dire|(?:j'aimerais|je voudrais) savoir|dis-moi|dites-moi"
    r"|(?:me )?(?:puedes|puede|podrías|podría)(?: usted)? (?:decirme|decir)|(?:quisiera|me gustaría|quiero) saber"
    rf"|dime|dígame)[,:]?\s+(?=(?:(?:about|at|by|for|from|in|of|on|to|with) )?{_WH}\b))"
)
_UNMARKED_START = r"\s+(?=(?-i:Answer|Reply|Respond|Please|Give|Cite|Explain|Be|Keep|Thanks|Thank|Just|Only)\b)"
"""Start of an instruction after a question without a question mark."""

_TRAILING_CLAUSE = (
    rf"(?:\s*[,;:–—(]\s*|\s+-+\s+|\s+(?=(?:{_SHORT_FORM})\W*$)|{_UNMARKED_START})"
    r"(?P<clause>[^,;:–—()]+?(?:,? please|,? bitte)?)(?P<end>[\s)]*[?.!]*[\s)]*)$"
)
_LEADING_CLAUSE = r"^\s*(?P<clause>[^,:;!–—]{1,120}?)\s*(?:[,:;!–—]|\s-)\s+(?=\w|¿)"
_JOINED = re.compile(r",? and |[,;] ")
_MAX_INSTRUCTION_CHARACTERS = 200
"""Longer clauses are content; this also bounds the time of the patterns."""

_MAX_SENTENCE_CHARACTERS = 1_000
_MAX_CLAUSES = 8
"""Clauses that are removed at each end of one sentence."""


def strip_instructions(question: str) -> str:
    """Return a question without sentences and clauses about the form of its answer; unchanged if nothing else is left.

    >>> strip_instructions("Hi, can you tell me when the Titanic sank? Answer with the full date. Thanks!")
    'when the Titanic sank?'
    >>> strip_instructions("Explain the steps to deploy, please."), strip_instructions("Answer briefly.")
    ('Explain the steps to deploy.', 'Answer briefly.')
    """
    sentences = [question[start:end] for start, end in split_sentences(question, break_at_newlines=True)]
    stripped = [_strip_sentence(sentence) for sentence in sentences]
    result = " ".join(filter(None, stripped))
    return result if stripped != sentences and extract_content_terms(result) else question


def _strip_sentence(sentence: str) -> str:
    """Return a sentence without its leading and trailing instructions; empty if it is one altogether."""
    if len(sentence) > _MAX_SENTENCE_CHARACTERS:
        return sentence
    patterns = _compile_patterns()
    is_question = sentence.rstrip(" )\"'").endswith("?") or ":" in sentence  # "Answer in one word: what is it?"
    if not is_question and _is_instruction(sentence):
        return ""
    for _ in range(_MAX_CLAUSES):
        shorter = _strip_leading(sentence, patterns.leading_request, patterns.leading_clause)
        trailing = patterns.trailing_clause.search(shorter)
        if trailing and _is_instruction(trailing["clause"]):
            shorter = _accept(shorter, f"{shorter[: trailing.start()].rstrip()}{_choose_end(trailing['end'])}")
        if shorter == sentence:
            break
        sentence = shorter
    return "" if _is_instruction(sentence) else sentence


def _strip_leading(sentence: str, leading_request: re.Pattern[str], leading_clause: re.Pattern[str]) -> str:
    clause = leading_clause.match(sentence)
    if clause and _is_instruction(clause["clause"]):
        return _accept(sentence, sentence[clause.end() :])
    request = leading_request.match(sentence)
    return _accept(sentence, sentence[request.end() :]) if request else sentence


def _choose_end(end: str) -> str:
    return "".join(character for character in end if character in "?.!")


def _accept(sentence: str, shorter: str) -> str:
    """Return the shorter form of a sentence if it still has a content word."""
    return shorter if extract_content_terms(shorter) else sentence


def _is_instruction(text: str) -> bool:
    """Return whether a sentence or clause only says how to answer, or is a greeting or thanks."""
    bare = " ".join(text.replace("’", "'").strip(" \t\n.!:;,()[]-–—*\"'¡").casefold().split())
    if len(bare) > _MAX_INSTRUCTION_CHARACTERS:
        return False
    is_instruction = _compile_patterns().instruction.fullmatch
    return not bare or is_instruction(bare) is not None or all(map(is_instruction, _JOINED.split(bare)))


class _Patterns:
    """The compiled patterns."""

    def __init__(self) -> None:
        forms = "|".join((*_ENGLISH_INSTRUCTIONS, *_OTHER_INSTRUCTIONS, *_COURTESIES))
        self.instruction = re.compile(rf"{_REQUEST}(?:{forms})(?:,? please|,? bitte|,? thanks?|,? thank you)?")
        self.leading_request = re.compile(_LEADING_REQUEST, re.IGNORECASE)
        self.leading_clause = re.compile(_LEADING_CLAUSE)
        self.trailing_clause = re.compile(_TRAILING_CLAUSE, re.IGNORECASE)


@cache
def _compile_patterns() -> _Patterns:
    """Compile at first use: it takes some milliseconds, and a plain search needs none of them."""
    return _Patterns()
