"""English words and phrases that say nearly the same, each with one representative. Generic English only.

Equal here means close enough that a claim may use one for the other, not that they never differ.
"""

import re
from functools import cache

from .alternations import build_alternation
from .analyzer import analyze_words

_PHRASES = {
    "must": "has to|have to|had to|having to|needs to|need to|needed to|is required to|are required to|be required to"
    "|was required to|is obliged to|are obliged to|is obligated to|are obligated to|is necessary to|are necessary to"
    "|requires you to|required to|require you to|has got to|have got to",
    "can": "is allowed to|are allowed to|be allowed to|is permitted to|are permitted to|be permitted to|is able to"
    "|are able to|be able to|is free to|are free to|allows you to|lets you|enables you to|allowed to|able to",
    "can not": "cannot|can't|can’t|is unable to|are unable to|be unable to|unable to",
    "will not": "won't|won’t",
    "not allow": "prohibits|prohibit|prohibited|forbids|forbid|forbidden|forbade|bans|ban|banned|disallows|disallow"
    "|disallowed",
    "not accept": "rejects|reject|rejected|refuses|refuse|refused|denies|deny|denied|declines|decline|declined",
    "not include": "excludes|exclude|excluded",
    "not have": "lacks|lack|lacked|lacking",
    "not": "fails to|fail to|failed to|failing to",
    "non": "instead of|rather than|as opposed to|in place of",
    "only": "solely|exclusively|no one but|nobody but|nothing but|reserved for|confined to",
    "even if": "even though|even when",
    "return": "come back|comes back|came back|coming back|go back|goes back|going back",
    "care": "look after|looks after|looking after|take care of|takes care of|taking care of",
    "perform": "carry out|carries out|carried out|carrying out",
    "include": "come with|comes with|consist of|consists of|made up of|make up|makes up",
    "immediately": "at once|right away|straight away|right after|straight after",
    "before": "prior to|in advance|ahead|earlier than|beforehand",
    "internally": "under the hood|behind the scenes",
    "based": "built on|built upon|based on|founded on|on top of|foundation",
    "because": "due to|owing to|as a result of|thanks to",
    "to": "in order to|so as to|for the purpose of",
    "ensure": "make sure|makes sure|making sure|be sure|ensures that|make certain",
    "unsure": "in doubt|not sure|don't know|don’t know|do not know|not certain",
    "usually": "most of the time|as a rule|in general|by default|normally",
    "choose": "opt for|opts for|picks|pick|picked",
    "start": "set off|sets off|kick off|take effect|takes effect|come into force",
    "stop": "give up|shut down|shuts down|turn off|turns off|switch off",
    "enable": "turn on|turns on|switch on|switches on",
    "request": "ask for|asks for|asked for|apply for|applies for|applied for|applying for",
    "receive": "get back|gets back",
    "discover": "find out|finds out|found out",
    "configure": "set up|sets up|setting up",
    "contain": "made of",
    "by": "no later than|not later than|at the latest",
    "at most": "no more than|not more than|as many as|as much as",
    "at least": "no less than|no fewer than|not less than",
    "also": "not only|not just|as well as|as well|in addition to|in addition",
    "regardless": "no matter|however many|however much|irrespective|whether or not",
    "once": "one single time|a single time|one time|only once|just once",
    "depend": "based upon|relies on|rely on|hinges on",
}
"""Phrases and words that are replaced by the key, before words are compared one by one."""

_WORDS = """
buy purchase acquire|begin start commence launch|need require necessary requirement must|let allow permit
authorize enable|staff employee worker personnel|get receive obtain|send submit transmit|end finish complete conclude
terminate quit exit|show display present|help assist aid support assistance|choose select pick option choice|last final
|quick fast rapid speedy|big large huge|small little tiny|ill sick|job work employment position|pay wage salary
compensation|price cost fee charge|ask request enquire|tell inform notify notification report|check inspect examine
verify validate confirm confirmation|fix repair resolve solve|make create produce build generate construct creation
|use utilize employ usage utilise|remove delete erase|change modify alter edit update adjust amend|keep retain store
save storage hold|error mistake problem wrong fault failure|happen occur|buyer customer client|child kid|doctor
physician|car vehicle automobile|house home|near close nearby|additional further extra more other|method way approach
manner|tool program software application utility|machine computer|picture image photo|letter character|normal plain
ordinary regular standard|common usual typical frequent|generally usually normally typically mostly often|right
correct proper|permission approval consent authorization|instruction direction guideline|rule
regulation policy|limit maximum cap restriction|run execute executed execution|join attach connect
connection link|different distinct separate|several multiple many numerous various|temporary temporarily provisional
interim|suggest recommend advise advisable recommendation encourage|expect expectation anticipate|entire whole
complete full fully|call name term refer|mean signify denote|describe explain explanation description|contain include
hold comprise|earn make|provide give offer supply grant award|entitle eligible qualify eligibility
entitlement|file document paper|meeting conference|journey trip travel|abroad international internationally
overseas foreign|owner holder|possess own have|country nation|error bug defect|gather collect|increase rise grow raise
|decrease fall drop reduce decline lower shrink|handle process treat|manage administer run oversee supervise|boss
supervisor manager|fire dismiss|hire recruit recruitment employ|obligatory mandatory compulsory required|reply answer
respond response|try attempt|always constantly|main primary principal chief|aim goal purpose objective|guarantee
ensure assure warrant|wait await|reach attain achieve meet|current present existing|previous former prior earlier
|next following subsequent|after following once afterwards thereafter|while during|over finished done completed|per
each every|daily day|weekly week|monthly month|yearly annually annual year|person people individual somebody someone
anybody anyone everybody everyone|write author|speak talk communicate|simple easy straightforward|hard difficult
|dangerous hazardous risky unsafe|safe secure|free gratis|cheap inexpensive|expensive costly|open accessible|hidden
concealed|part portion section component|kind type sort|convert transform turn|copy duplicate|move transfer
relocate|set establish|assign allocate|assignment task|display show|exchange swap|prevent avoid|refund reimburse
reimbursement repay|return refund|maximum most|minimum least|rate rating|reason cause|because since|declare define
definition declaration|invoke call|argument parameter|function method routine|directory folder|look see view watch
|spend pass|relative relation family|severity severe serious|early soon|doubt unsure uncertain unclear|specify state
stipulate|available accessible|internet online web|version release edition|reword rephrase|evaluate assess
assessment evaluation|agreement contract|agree consent|allow let|deadline due|postpone delay defer|cancel abort
|attend participate participation attendance attendee participant|event occasion|illness disease sickness|injury
wound|vacation holiday leave|begin beginning|shop store|city town|road street|student pupil|teacher instructor
|test exam examination|win victory triumph|defeat beat|war conflict|kill murder slay|die death dead|birth born|marry
wed marriage|king monarch ruler|rule govern|found establish|locate situate location situated located place|famous
renowned|old ancient|new recent|modern contemporary|important significant essential crucial|combine merge join
|divide split|compute calculate|number amount quantity|whichever whatever any|purely entirely wholly
"""
_NUMBER_OF_TIMES = {"twice": "2", "thrice": "3"}


@cache
def _phrase_pattern() -> tuple[re.Pattern[str], dict[str, str]]:
    replacements = {phrase: key for key, phrases in _PHRASES.items() for phrase in phrases.split("|")}
    return re.compile(rf"(?<!\w){build_alternation(replacements)}(?!\w)"), replacements


@cache
def _representatives() -> dict[str, str]:
    """Return the representative of each term; a term of several groups belongs to the first of them."""
    representatives: dict[str, str] = {}
    for group in " ".join(_WORDS.split()).split("|"):
        terms = analyze_words(group.split())
        for term in terms:
            representatives.setdefault(term, representatives.get(terms[0], terms[0]))
    return representatives


def rewrite_phrases(text: str) -> str:
    """Return case-folded text in which each known phrase is replaced by its representative.

    >>> rewrite_phrases("you are unable to leave at once")
    'you can not leave immediately'
    """
    pattern, replacements = _phrase_pattern()
    return pattern.sub(lambda match: replacements[match[0]], text)


def get_representative(term: str) -> str:
    """Return the term that stands for a term and its synonyms.

    >>> get_representative("purchas") == get_representative("buy")
    True
    """
    return _representatives().get(term, term)


def are_related(first: str, second: str) -> bool:
    """Return whether two terms probably derive from one word: equal first letters, at least five, and similar ends.

    >>> are_related("recommend", "recommendation"), are_related("stable", "static")
    (True, False)
    """
    shorter, longer = sorted((first, second), key=len)
    if len(shorter) < 4 or not shorter.isalpha() or not longer.isalpha():
        return False
    shared = next((i for i, (a, b) in enumerate(zip(shorter, longer, strict=False)) if a != b), len(shorter))
    return shared >= max(5, len(shorter) - 1, 0.6 * len(longer)) or (
        shared == len(shorter) and len(longer) - shared < 4
    )
