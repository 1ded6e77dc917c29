"""What the support check promises: a number, date or name that is not in the cited text is never called supported."""

import re
import time
from pathlib import Path

import pytest
from benchmarks import claim_support
from hypothesis import given
from hypothesis import strategies as st

from semsearch.answers.verification import SupportJudge
from semsearch.core.types.answers import AnalyzedQuery, Passage, Sentence, SupportVerdict
from semsearch.text.analyzer import analyze, extract_query_terms
from semsearch.text.sentences import split_sentences

WIDE = "The keeper of the northern lighthouse must check every lamp before the season begins in Brest."
LONG = 100_000


def passage(text: str, title: str = "", heading: str = "", passage_id: str = "k3f9qa") -> Passage:
    """A passage that is a whole document."""
    spans = split_sentences(text) or [(0, len(text))]
    return Passage(
        id=passage_id,
        uri="a.md",
        title=title,
        heading=heading,
        page=None,
        start=0,
        end=len(text),
        sentences=tuple(Sentence(s, e, text[s:e], tuple(analyze(text[s:e])), 1) for s, e in spans),
        content_sha256="0",
        score=1.0,
    )


def asked(text: str = "") -> AnalyzedQuery:
    """A question whose words are all as rare as each other."""
    found = tuple(extract_query_terms(text)) if text else ()
    return AnalyzedQuery(text, found, dict.fromkeys(found, 1.0))


def verdict(claim: str, text: str, question: str = "", title: str = "", heading: str = "") -> SupportVerdict:
    """Of a claim that cites the first sentence of a text."""
    cited = passage(text, title, heading)
    return SupportJudge(asked(question), [cited])(claim, [(cited, 1)])


SAME = [
    ("The fee is {} euros.", ["1000", "1,000", "1 000", "1\u00a0000", "1\u202f000", "one thousand", "a thousand"]),
    ("Leave lasts {} weeks.", ["26", "twenty-six", "twenty six", "twenty\u2011six", "Twenty-Six", "26.0"]),
    ("It takes {} days.", ["3", "three", "03"]),
    ("{} lamps burn.", ["250", "Two hundred and fifty", "two hundred fifty"]),
    ("Interest is {}.", ["5 %", "5%", "5 percent", "five per cent", "five percent"]),
    ("The town has {} people.", ["3.5m", "3.5 million", "3,500,000", "3500000", "3 500 000"]),
    ("The loan is {}.", ["2bn", "2 billion", "two billion", "2,000,000,000"]),
    ("It opened on {}.", ["5 May 2024", "May 5, 2024", "2024-05-05", "May 5th, 2024", "the 5th of May 2024"]),
    ("It was built in the {}.", ["1990s", "1990's", "1990’s"]),
    ("It was the {} lamp.", ["5th", "fifth"]),
    ("It was the {} lamp.", ["21st", "twenty-first", "twenty first"]),
    ("It stands since the {} century.", ["12th", "twelfth"]),
    ("It takes {} days.", ["10-12", "10–12", "10 to 12", "ten to twelve", "between ten and twelve"]),
    ("The year was {} there.", ["2024", "٢٠٢٤", "２０２４", "२०२४", "۲۰۲۴", "๒๐๒๔"]),
    ("It costs {} dollars.", ["5.50", "5.5", "05.50"]),
    ("It is {} degrees there.", ["-5", "−5", "minus 5"]),
    ("It is open at {}.", ["9:00", "09:00"]),
]


@pytest.mark.parametrize(
    ("claim", "text"),
    [(form.format(one), form.format(other)) for form, ways in SAME for one in ways for other in ways],
)
def test_a_number_counts_in_whatever_way_it_is_written(claim: str, text: str) -> None:
    """Digits of any script, groups, words, ordinals, percentages, abbreviations and dates say the same."""
    assert verdict(claim, text) == "supported"


OTHER = [
    ("The fee is {} euros.", "1,000", ["1,001", "10000", "10,000", "100", "1", "two thousand", "1 million", "1,000.5"]),
    ("The fee is {} euros.", "one thousand", ["1,001", "100", "one hundred", "one million", "eleven hundred"]),
    ("Leave lasts {} weeks.", "twenty-six", ["27", "20", "6", "twenty", "six", "sixty-two", "62", "2.6", "260"]),
    ("Leave lasts {} weeks.", "26", ["one", "1", "twenty-seven", "２７", "٢٧", "26.5", "-26", "026.1"]),
    ("Interest is {}.", "5 percent", ["6 %", "5.1 %", "15%", "0.5 percent", "fifty percent", "half a percent", "55%"]),
    ("The town has {} people.", "3.5 million", ["3.6m", "3.5 billion", "35 million", "3 million", "3.5", "350,000"]),
    ("It opened on {}.", "May 5, 2024", ["6 May 2024", "5 June 2024", "5 May 2023", "2024-05-06", "2024-06-05"]),
    ("It opened on {}.", "2024-05-05", ["6 May 2024", "5 June 2024", "2024-06-05", "June 5, 2024", "2025-05-05"]),
    ("It was built in the {}.", "1990s", ["1980s", "1991", "90s", "1890s"]),
    ("It was the {} lamp.", "fifth", ["6th", "sixth", "fifteenth", "first", "twenty-fifth", "25th", "second"]),
    ("It was the {} lamp.", "first", ["second", "third", "2nd", "twenty-first"]),
    ("It takes {} days.", "10 to 12", ["10-14", "8–12", "nine to twelve", "22", "between ten and thirteen", "one"]),
    ("The wait is {} an hour in the tower.", "¾", ["½", "1/4", "⅓"]),
    ("It runs {} now.", "v2.0", ["v2.1", "v3.0", "version 2.1"]),
    ("It is open at {}.", "10:45", ["10:30", "9:45", "22:45"]),
    ("It is {} degrees there.", "5", ["-5", "−5", "minus 5"]),
    ("The lamp burns {} a year.", "once", ["twice", "3 times", "ten times"]),
    ("Отпуск длится {} недель.", "26", ["27", "٢٧", "2"]),
    ("الإجازة تستمر {} أسبوعا.", "26", ["٢٧", "27", "۲"]),
    ("育児休業は{}週間です。", "26", ["27", "２７", "2"]),
]


@pytest.mark.parametrize(
    ("claim", "text"), [(form.format(wrong), form.format(right)) for form, right, all_ in OTHER for wrong in all_]
)
def test_another_number_is_unsupported(claim: str, text: str) -> None:
    """However near it comes, in whatever way either is written."""
    assert verdict(claim, text) == "unsupported"


@given(st.integers(0, 10**7), st.integers(0, 10**7))
def test_one_wrong_number_outweighs_everything_else(said: int, stated: int) -> None:
    """A whole sentence that is right but for one number is unsupported, and supported where the number is right."""
    form = "The keepers of the northern lighthouse of Brest checked {} lamps in the storm before the season began."
    expected = "supported" if said == stated else "unsupported"
    assert verdict(form.format(said), form.format(f"{stated:,}")) == expected
    assert verdict(form.format(f"{said:,}"), form.format(stated)) == expected


@pytest.mark.parametrize(
    ("claim", "text", "expected"),
    [
        ("Leave lasts 26 months.", "Leave lasts 26 weeks.", "unsupported"),
        ("The day ticket that covers all buses is €10.", "The €10 day ticket covers all buses.", "supported"),
        ("Leave is paid through 26 weeks.", "Leave of 26 weeks is paid.", "supported"),
        ("Leave lasts twenty-six months.", "Leave lasts 26 weeks.", "unsupported"),
        ("It is a 26-week leave.", "It is a leave of 26 weeks.", "supported"),
        ("The fee is 26 dollars.", "The fee is €26.", "unsupported"),
        ("The fee is $26.", "The fee is 26 dollars.", "supported"),
        ("The loan is 5 million euros.", "The loan is €5 million.", "partial"),
        ("Interest is 5 %.", "Interest is 5 dollars.", "unsupported"),
        ("It takes 10 weeks.", "It takes 10 to 12 weeks.", "supported"),
        ("It takes 12 weeks.", "It takes 12 days of 12 weeks.", "supported"),
    ],
)
def test_a_number_in_another_unit_is_unsupported(claim: str, text: str, expected: SupportVerdict) -> None:
    """In whatever way the unit is written; where the text has none beside the number, none is missed."""
    assert verdict(claim, text) == expected


ROSE = "The fee rose from 10 euros in 2020 to 15 euros in 2024."


@pytest.mark.parametrize(
    ("claim", "text", "question", "expected"),
    [
        ("In 2020 the fee was 15 euros.", ROSE, "", "partial"),
        ("The fee rose from 15 euros in 2020 to 10 euros in 2024.", ROSE, "", "partial"),
        ("The fee was 15 euros.", ROSE, "What was the fee in 2020?", "partial"),
        ("In 2024 the fee was 10 euros.", "The fee was 10 and 15 euros in 2020 and 2024.", "", "partial"),
        ("In 2020 the fee was 10 euros.", ROSE, "", "supported"),
        ("The fee rose to 15 euros in 2024.", ROSE, "", "supported"),
        ("The fee was 15 euros.", ROSE, "What was the fee in 2024?", "supported"),
        ("In 2024 the fee was 15 euros.", "The fee was 10 and 15 euros in 2020 and 2024.", "", "supported"),
    ],
)
def test_a_number_of_another_year_is_partial_at_most(
    claim: str, text: str, question: str, expected: SupportVerdict
) -> None:
    """Where a text has a number for each of several years, by turns or one after the other."""
    assert verdict(claim, text, question) == expected


@pytest.mark.parametrize("where", ["title", "heading"])
def test_title_and_heading_count_as_cited(where: str) -> None:
    """ "Fees 2024" above a sentence gives its year and "Normandy" its place."""
    claim, text = "In 2024 the fee for a lamp in Normandy was low.", "The fee for a lamp was low."
    assert verdict(claim, text) == "unsupported"
    assert verdict(claim, text, **{where: "Fees in Normandy, 2024"}) == "supported"


def test_a_fact_from_the_sentence_beside_is_unsupported() -> None:
    """What is cited counts, not what stands near it; cited as well, it counts."""
    cited = passage("The keeper checks every lamp. The keeper has 26 days in Brest for that.")
    judge = SupportJudge(asked(), [cited])
    claim = "The keeper checks every lamp in 26 days in Brest."
    assert judge(claim, [(cited, 1)]) == "unsupported"
    assert judge(claim, [(cited, 1), (cited, 2)]) in ("supported", "partial")


@pytest.mark.parametrize(
    ("question", "claim", "text"),
    [
        ("Does leave last 26 weeks?", "Leave lasts 26 weeks.", "Leave lasts 27 weeks."),
        ("Does leave last 26 weeks?", "Yes, leave lasts 26 weeks.", "Leave lasts long."),
        ("Does leave last 26 weeks?", "Yes.", "Leave lasts 27 weeks."),
        ("Does leave in Brest last long?", "Leave in Brest lasts long.", "Leave in Paris lasts long."),
        ("Did K-17 fail in 2024?", "K-17 failed in 2024.", "K-18 failed in 2023."),
    ],
)
def test_what_only_the_question_says_is_no_support(question: str, claim: str, text: str) -> None:
    """A loaded question does not make its own numbers and names true."""
    assert verdict(claim, text, question) != "supported"


SAME_NAMES = [
    ("The bridge was planned by {}.", ["José García", "Jose Garcia", "Jose\u0301 Garci\u0301a", "JOSÉ GARCÍA"]),
    ("It was {} plan.", ["Normandy's", "Normandy’s"]),
    ("It was {} lamp.", ["Jones's", "Jones'", "Jones’"]),
    ("It was the lamp of {} there.", ["O'Neill", "O’Neill"]),
    ("The rule of the {} holds.", ["BBC", "B.B.C."]),
    ("The law of the {} holds.", ["US", "U.S."]),
    ("The part is {} here.", ["K-17", "K17", "K\u201117", "k-17"]),
    ("The town is {} there.", ["Saint-Malo", "Saint Malo", "SAINT-MALO"]),
    ("It lies on the {} there.", ["Große Straße", "Grosse Strasse"]),
    ("He works with {} there.", ["AT&T"]),
]


@pytest.mark.parametrize(
    ("claim", "text"),
    [(form.format(one), form.format(other)) for form, ways in SAME_NAMES for one in ways for other in ways],
)
def test_a_name_counts_in_whatever_way_it_is_written(claim: str, text: str) -> None:
    """Accents, possessives, capitals, full stops and hyphens say the same."""
    assert verdict(claim, text) == "supported"


@pytest.mark.parametrize(
    ("form", "right", "wrong"),
    [
        ("The bridge was planned by {} for the town.", "José García", ["Juan García", "José Gracia", "Josef García"]),
        ("The plan for the bridge was {} own.", "Normandy's", ["Brittany's", "Norman's", "Normandie’s"]),
        ("The rule of the {} holds for every tower.", "BBC", ["NBC", "BBCA", "B.B.D.", "BC"]),
        ("The broken part of the lamp is {} here.", "K-17", ["K-18", "K-1", "L-17", "K-170", "K18", "AK-17"]),
        ("The certificate is {} in every tower.", "X509", ["X508", "X50", "Y509"]),
        ("The tower with the lamp is in {}.", "Somalia", ["Mali", "Soma", "Somaliland"]),
        ("The tower with the lamp is in {}.", "Maryland", ["Mary", "Iceland"]),
        ("The tower opened in {} for the town.", "May", ["June", "Mayotte"]),
        ("Смотритель проверяет все лампы в {}.", "Париже", ["Бресте", "Лондоне"]),
        ("Die Lampe wird im Herbst in {} geprüft.", "Bonn", ["Köln", "Bonnheim"]),
    ],
)
def test_another_name_is_unsupported(form: str, right: str, wrong: list[str]) -> None:
    """However like it looks."""
    assert verdict(form.format(right), form.format(right)) == "supported"
    assert {each: verdict(form.format(each), form.format(right)) for each in wrong} == dict.fromkeys(
        wrong, "unsupported"
    )


@pytest.mark.slow
@given(st.from_regex(r"[QXZ][b-z]{4,9}", fullmatch=True))
def test_one_wrong_name_outweighs_everything_else(name: str) -> None:
    """A whole sentence that is right but for one name inside it is unsupported."""
    form = "In the storm before the season began, {} checked the lamps of the northern lighthouse and the boats."
    assert verdict(form.format(name), form.format("Oskar")) == "unsupported"
    assert verdict(form.format(name), form.format(name)) == "supported"


def test_a_wrong_name_at_the_beginning_is_never_supported() -> None:
    """There a capital may say nothing, so that it is "partial" at best, however long the sentence is."""
    form = "{} checked the lamps of the northern lighthouse, oiled the doors, mended boats and rang bells in fog."
    assert verdict(form.format("Zanzibarov"), form.format("Bertrand")) == "partial"
    assert verdict(f"* {form.format('Zanzibarov')}", form.format("Bertrand")) == "partial"
    assert verdict(form.format("Zanzibarov"), form.format("Zanzibarov")) == "supported"


@pytest.mark.parametrize("claim", ["{} checked the lamps.", "{} checked the lamps in fog.", "- {} checked the lamps."])
@pytest.mark.parametrize(
    "text",
    [
        "NATO checked the lamps in fog.",
        "In 1905 Bertrand checked the lamps in fog.",
        "Ana checked the lamps. So Ana left.",
    ],
)
def test_another_word_at_the_beginning_in_place_of_a_name_is_unsupported(claim: str, text: str) -> None:
    """Where a name stands before the same words, whatever else begins the claim says something else."""
    assert verdict(claim.format("Zanzibarov"), text) == "unsupported"


def test_another_word_at_the_beginning_in_place_of_no_name_is_partial() -> None:
    """It may be another word for the same."""
    form = "{} checked the lamps of the northern lighthouse and the doors of the harbour in fog."
    assert verdict(form.format("Watchmen"), form.format("Keepers")) == "partial"
    assert verdict(form.format("He"), form.format("Bertrand")) == "supported"


PLAIN_AND_DENIED = [
    ("The keeper must check every lamp.", "The keeper must not check every lamp."),
    ("The keeper checks the lamp.", "The keeper doesn't check the lamp."),
    ("The keeper checks the lamp.", "The keeper doesn’t check the lamp."),
    ("The keeper checks the lamp.", "The keeper never checks the lamp."),
    ("The keeper checks the lamp.", "No keeper checks the lamp."),
    ("The keeper is paid for it.", "The keeper isn't paid for it."),
    ("The keeper can leave the tower.", "The keeper cannot leave the tower."),
    ("The keeper checks the lamp of the tower.", "Nobody checks the lamp of the tower."),
    ("The keeper leaves with a lamp.", "The keeper leaves without a lamp."),
]


@pytest.mark.parametrize(("plain", "denied"), PLAIN_AND_DENIED)
def test_a_negation_put_in_or_left_out_is_unsupported(plain: str, denied: str) -> None:
    """Nearly all the words are the same, and it says the contrary."""
    assert verdict(denied, plain) == "unsupported"
    assert verdict(plain, denied) == "unsupported"
    assert (verdict(denied, denied), verdict(plain, plain)) == ("supported", "supported")


@pytest.mark.parametrize(
    ("claim", "text"),
    [
        ("The keeper can't leave the tower.", "The keeper cannot leave the tower."),
        ("The keeper can not leave the tower.", "The keeper can’t leave the tower."),
    ],
)
def test_another_form_of_no_is_the_same_no(claim: str, text: str) -> None:
    """Short forms count as long ones."""
    assert verdict(claim, text) == "supported"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("The door of the tower closes before the storm.", "The door of the tower closes after the storm."),
        ("The fee rose in the winter months.", "The fee fell in the winter months."),
        ("The fee increased in the winter months.", "The fee decreased in the winter months."),
        ("Leave is mandatory for every keeper.", "Leave is optional for every keeper."),
        ("Smoking is allowed in the tower.", "Smoking is prohibited in the tower."),
        ("The plan was accepted by the council.", "The plan was rejected by the council."),
        ("The plan was approved by the council.", "The plan was denied by the council."),
        ("It lies in the north of the bay.", "It lies in the south of the bay."),
        ("It lies in the eastern part of the bay.", "It lies in the western part of the bay."),
        ("It has more than the usual lamps.", "It has less than the usual lamps."),
        ("The pay is above the usual wage here.", "The pay is below the usual wage here."),
        ("The gate of the tower opens at dusk every day.", "The gate of the tower closes at dusk every day."),
        ("They won the battle on the rock.", "They lost the battle on the rock."),
        ("The maximum is the usual wage of the town.", "The minimum is the usual wage of the town."),
    ],
)
def test_the_opposite_is_unsupported(one: str, other: str) -> None:
    """One word changed that turns the meaning round, in either direction."""
    assert (verdict(one, other), verdict(other, one)) == ("unsupported", "unsupported")


@pytest.mark.parametrize(
    "claim",
    [
        "The lamps are blue.",
        "Leave lasts 26 weeks:",
        "It is in Brest:",
        "Leave is 26 weeks long.",
        "灯在春天检查。",
        "Лампы синие.",
        "المصابيح زرقاء.",
    ],
)
def test_a_claim_that_cites_nothing_is_unsupported(claim: str) -> None:
    """A colon at its end does not excuse a number or a name."""
    assert SupportJudge(asked("How long is leave?"), [passage(WIDE)])(claim, []) == "unsupported"


@pytest.mark.parametrize(
    "said",
    [
        "Here are the steps:",
        "Yes.",
        "No.",
        "Sure!",
        "In summary:",
        "Here is what the documents say about leave:",
        "According to the documents, the following applies:",
        "以下是步骤：",
        "---",
        "…",
        "",
    ],
)
def test_what_leads_over_is_not_checked(said: str) -> None:
    """It says nothing that would need a source."""
    assert SupportJudge(asked("How long is leave?"), [passage(WIDE)])(said, []) == "not_checked"


TRUE = [
    WIDE,
    "灯塔管理员每年春天检查所有的灯。",
    "Смотритель маяка проверяет все лампы каждую весну в Бресте.",
    "حارس المنارة يفحص كل المصابيح كل ربيع.",
    "灯台守は毎年春に26個のランプを点検します。",
    "ผู้ดูแลประภาคารตรวจโคมไฟทุกดวงในฤดูใบไม้ผลิ",
    "등대지기는 매년 봄에 모든 등을 점검한다.",
]


@pytest.mark.parametrize("text", TRUE)
def test_a_sentence_supports_itself_in_any_script(text: str) -> None:
    """And nothing from another one of the same script."""
    assert verdict(text, text, "What does the keeper do?") == "supported"
    strangers = [other for other in TRUE if other != text]
    assert {verdict(text, other) for other in strangers} == {"unsupported"}


@pytest.mark.slow
@given(st.text(min_size=1).filter(lambda text: bool(text.strip())), st.text())
def test_any_text_word_for_word_is_supported(text: str, question: str) -> None:
    """Whatever it holds and whatever was asked."""
    cited = passage(text)
    for number, sentence in enumerate(cited.sentences, 1):
        plain = " ".join(sentence.text.split())
        if re.search(r"\w", plain):
            assert SupportJudge(asked(question), [cited])(plain, [(cited, number)]) == "supported"


@pytest.mark.parametrize(
    "claim",
    [
        "The keeper must check every lamp.",
        "Every lamp must be checked before the season.",
        "In Brest, the keeper must.",
    ],
)
def test_a_shortened_sentence_is_supported(claim: str) -> None:
    """What is left out takes nothing from the rest."""
    assert verdict(claim, WIDE) == "supported"


@pytest.mark.parametrize(
    "claim",
    [
        "The keeper has to inspect each lamp before the season begins.",
        "The lamps of the lighthouse are inspected by the keeper before the season.",
    ],
)
def test_other_words_for_some_are_partial(claim: str) -> None:
    """Whether they mean the same, words alone do not tell."""
    assert verdict(claim, WIDE) == "partial"


def test_other_words_about_another_name_are_unsupported() -> None:
    """A name that the question brought may be missing from what is cited, as that of the whole place always is; but not
    where the rest is on another subject too."""
    question = "What does the keeper of Zanzibar check after a storm?"
    claim = "After a storm the keeper of Zanzibar checks the northern lamps of the harbour for damage."
    assert verdict(claim, "After each storm the keeper checks northern lamps.", question) == "partial"
    assert verdict(claim, "The keeper sold northern lamps to a baker.", question) == "unsupported"
    assert verdict(claim, "The keeper sold northern lamps to a baker.", question, title="Zanzibar") == "partial"


@pytest.mark.parametrize("claim", ["Boats are painted by fishermen in autumn.", "春天要粉刷房子。", "Это рыба."])
def test_something_else_is_unsupported(claim: str) -> None:
    """A citation alone supports nothing."""
    assert verdict(claim, WIDE) == "unsupported"


@given(st.text(max_size=200), st.text(max_size=200), st.text(max_size=80), st.booleans())
def test_no_text_is_too_strange(claim: str, text: str, question: str, cites: bool) -> None:
    """Every text gets a verdict, also with nothing around it."""
    cited = passage(text, title=claim, heading=question)
    found = SupportJudge(asked(question), [cited])(claim, [(cited, 1)] if cites else [])
    assert found in ("supported", "partial", "unsupported", "not_checked")


SPITEFUL = {
    "digits": "1",
    "digits of another script": "٣",
    "superscripts": "²",
    "number words": "one hundred ",
    "tens": "twenty-",
    "groups": "1,",
    "thousands": "1,000",
    "points": "1.",
    "spaced digits": "1 ",
    "dates": "2024-05-05 ",
    "percentages": "5% ",
    "negations": "n't ",
    "capitals": "Ab Cd ",
    "acronyms": "A.",
    "hyphens": "a-",
    "apostrophes": "a'",
    "spaces": " ",
    "brackets": "[",
    "one word": "a",
    "pairs": "灯",
    "marks": "e\u0301\u0302",
    "ordinals": "first lamp ",
    "items": "- Ab cd ",
}


def takes(text: str) -> float:
    """CPU seconds that it takes to judge a claim by a passage, both of them this and little else."""
    cited, plain = passage(f"{text} lamp"), passage(WIDE)
    judge = SupportJudge(asked("How many lamps are in Brest?"), [cited, plain])
    begun = time.process_time()
    judge(f"{text} door", [(plain, 1), (cited, 1)])
    return time.process_time() - begun


def grows(small: float, large: float) -> float:
    """How many times as long the large one takes; what is too short to be measured counts as a while."""
    return large / max(small, 0.05)


@pytest.mark.slow
@pytest.mark.parametrize("piece", SPITEFUL.values(), ids=SPITEFUL.keys())
def test_spiteful_text_takes_no_time(piece: str) -> None:
    """100 kB on either side take about five times as long as 20 kB, not twenty-five times."""
    spite = f"It is {(piece * LONG)[:LONG]}"
    assert grows(takes(spite[: LONG // 5]), takes(spite)) < 12


@pytest.mark.slow
def test_many_names_take_no_time() -> None:
    """Each of ten thousand names is looked up, not searched for."""
    few, many = (" ".join(f"x Name{chr(97 + at % 26)}{at}" for at in range(count)) for count in (2_000, 10_000))
    assert grows(takes(few), takes(many)) < 12


FLOORS = {
    "other article": 1.0,
    "best-ranked wrong passage": 0.96,
    "answer from elsewhere": 0.98,
    "altered number": 1.0,
    "altered name": 1.0,
    "negated": 0.94,
}
CEILINGS = {"true: the sentence": 0.0, "true: shortened": 0.04, "true: question and answer (unsupported)": 0.08}


def test_edits_of_true_sentences_are_caught(shared_data: Path) -> None:
    """On questions that people asked, at no more false alarms than 5 of 100."""
    figures = claim_support.measure_verdicts(list(claim_support.read_cases(shared_data / "squad2_a", 250)))
    assert {kind: figures[kind] for kind, floor in FLOORS.items() if figures[kind] < floor} == {}
    assert {kind: figures[kind] for kind, limit in CEILINGS.items() if figures[kind] > limit} == {}
