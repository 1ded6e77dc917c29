"""The rules of the support check: each claim is written for its evidence, true or changed in one respect."""

import pytest
from support.claims import check_claim, make_passage, make_question

from semsearch.answers.citations import CitationResolver
from semsearch.answers.verification import SupportChecker
from semsearch.core.types.answers import SupportVerdict

ACCEPTED = ("supported", "partial")

TRUE_CLAIMS = {
    "abbreviations": [
        ("The US ships the lamps to the harbour.", "The United States ships the lamps to the harbour."),
        ("The World Health Organization checks the lamps.", "The WHO checks the lamps."),
        ("The WHO checks the lamps.", "The lamps are checked by the World Health Organization."),
        ("The EU and the UK check the lamps.", "The European Union and the United Kingdom check the lamps."),
        ("The lamp opened on 5 Jan 2024.", "The lamp opened on 5 January 2024."),
        ("The lamp weighs 5 kg in Brest.", "The lamp weighs 5 kilograms in Brest."),
        ("Doctor Ng checks the lamps.", "Dr. Ng checks the lamps."),
        ("PPL lasts 12 weeks.", "Paid Parental Leave lasts 12 weeks."),
        ("You can take leave for one year.", "You can take leave for 12 months."),
    ],
    "headings": [
        ("**Checking The Harbour Lamps**: keepers check every lamp.", "Every lamp is to be checked, keepers check it."),
    ],
    "negation": [
        ("The ticket is not refundable after the trip.", "The ticket is non-refundable after the trip."),
        ("Guests are not eligible for the discount.", "Guests are ineligible for the discount."),
        ("Guests cannot enter the tower.", "Guests are unable to enter the tower."),
        ("Smoking is not allowed in the tower.", "Smoking is prohibited in the tower."),
        ("Use the stairs, not the lift.", "Use the stairs instead of the lift."),
        ("No keeper is paid for it.", "A keeper is not paid for it."),
        ("Visitors must be at least 3 days early.", "Visitors must come no later than 3 days before."),
    ],
    "quantifiers": [
        ("Managers may approve expenses.", "Only managers may approve expenses."),
        ("Each keeper checks the lamps.", "Every keeper checks the lamps."),
        ("Some keepers check the lamps.", "All keepers check the lamps."),
        ("Keepers check the lamps every day.", "Keepers check the lamps daily."),
    ],
    "modality": [
        ("Keepers have to check the lamps.", "Keepers must check the lamps."),
        ("Confirmation of the fix is optional.", "(optional) The keeper confirms the fix."),
        ("Keepers should check the lamps.", "It is recommended that keepers check the lamps."),
    ],
    "bounds": [
        ("Groups have a maximum of 5 people.", "Groups have up to 5 people."),
        ("Expenses above $500 need approval.", "Expenses over $500 need approval."),
        ("The rating is 30 percent or more.", "The rating is at least 30 percent."),
    ],
    "roles": [
        ("Expenses are approved by managers.", "Managers approve expenses."),
        ("Managers approve expenses.", "Expenses are approved by managers."),
        ("You can install lamps and doors.", "You can install doors and lamps."),
        ("On Monday the keeper meets the guests.", "The keeper meets the guests on Monday."),
    ],
    "synonyms": [
        ("You can purchase tickets at the tower.", "You can buy tickets at the tower."),
        ("The season starts in March.", "The season begins in March."),
    ],
}

FALSE_CLAIMS = {
    "abbreviations": [("The UK ships the lamps.", "The United States ships the lamps.", "contradicted")],
    "negation": [
        ("The ticket is refundable after the trip.", "The ticket is non-refundable after the trip.", "contradicted"),
        ("Guests are eligible for the discount.", "Guests are ineligible for the discount.", "contradicted"),
        ("Use the lift to reach the lamps.", "Use the stairs instead of the lift.", "contradicted"),
        ("The lamp does not burn at night.", "The lamp burns at night. No guest may enter.", "contradicted"),
    ],
    "quantifiers": [
        ("Only managers approve expenses.", "Managers approve expenses.", "unsupported"),
        ("All expenses need approval.", "Expenses over $500 need approval.", "unsupported"),
        ("All keepers check the lamps.", "Most keepers check the lamps.", "unsupported"),
        ("Most keepers check the lamps.", "Some keepers check the lamps.", "unsupported"),
        ("The lamps always burn at night.", "The lamps usually burn at night.", "unsupported"),
        ("The lamps never burn at night.", "The lamps rarely burn at night.", "contradicted"),
    ],
    "modality": [
        ("Keepers must check the lamps.", "Keepers may check the lamps.", "unsupported"),
        ("Keepers may check the lamps.", "Keepers must check the lamps.", "unsupported"),
        ("You are required to use the stairs.", "We recommend using the stairs.", "unsupported"),
        ("It is recommended to check the lamps.", "You must check the lamps.", "unsupported"),
        ("The price will rise in the winter.", "The price may rise in the winter.", "unsupported"),
    ],
    "bounds": [
        ("Groups have at least 5 people.", "Groups have up to 5 people.", "contradicted"),
        ("Expenses under $500 need approval.", "Expenses over $500 need approval.", "contradicted"),
        ("The lamp opens after 5 May.", "The lamp opens before 5 May.", "contradicted"),
        ("You have to wait at most 12 weeks.", "You have to wait for at least 12 weeks.", "contradicted"),
        ("The tower has over 12 rooms.", "The tower has 12 rooms.", "unsupported"),
    ],
    "dates": [
        ("the lamp opens in january.", "the lamp opens in february.", "contradicted"),
        ("the tower closes on mondays.", "the tower closes on tuesdays.", "contradicted"),
    ],
    "slots": [
        ("Leave lasts 27 weeks.", "Leave lasts 26 weeks.", "contradicted"),
        ("The bridge was planned by Ana.", "The bridge was planned by Oskar.", "contradicted"),
        ("The bridge cost 27 euros.", "Leave lasts long.", "unsupported"),
        ("Most keepers use the stable lamp.", "Most keepers use the portable lamp.", "contradicted"),
        ("The tower holds lamps, doors and boats.", "The tower holds lamps and doors.", "unsupported"),
    ],
    "roles": [
        ("Bob reports to Alice.", "Alice reports to Bob.", "contradicted"),
        ("The new lamp is replaced by the old lamp.", "The new lamp replaces the old lamp.", "contradicted"),
        ("Brest is larger than Ghent.", "Ghent is larger than Brest.", "contradicted"),
        ("Schemas are based on the protocol.", "The protocol is based on schemas.", "contradicted"),
        ("Ana has 5 lamps and Bo has 7 lamps.", "Ana has 7 lamps and Bo has 5 lamps.", "contradicted"),
        ("Unlike doors, lamps can burn.", "Unlike lamps, doors can burn.", "contradicted"),
    ],
}


@pytest.mark.parametrize(
    ("claim", "text"),
    [pytest.param(*case, id=f"{rule}: {case[0]}") for rule, cases in TRUE_CLAIMS.items() for case in cases],
)
def test_true_claim_in_other_words_is_accepted(claim: str, text: str) -> None:
    """No rule takes a difference in expression for a difference in meaning."""
    assert check_claim(claim, text) in ACCEPTED


@pytest.mark.parametrize(
    ("claim", "text", "expected"),
    [pytest.param(*case, id=f"{rule}: {case[0]}") for rule, cases in FALSE_CLAIMS.items() for case in cases],
)
def test_claim_with_one_change_is_rejected(claim: str, text: str, expected: SupportVerdict) -> None:
    """A claim that says something else is contradicted, one that says more than its evidence is unsupported."""
    assert check_claim(claim, text) == expected


@pytest.mark.parametrize(
    ("claim", "text"),
    [
        (
            "The valve opens in the closed position and the lamp burns in the locked state.",
            "The valve opens in the locked state and the lamp burns in the closed position.",
        ),
        ("Guests should bring the keys for keepers.", "In most cases, keepers should bring the keys for guests."),
        ("The log is part of the lamp record.", 'In other words, the log is not a "part" of the lamp record.'),
    ],
)
def test_near_copy_with_one_change_of_order_or_polarity_is_contradicted(claim: str, text: str) -> None:
    """All words of the claim are in the text; only their places, or a negation, differ."""
    assert check_claim(claim, text) == "contradicted"


def test_free_wording_that_breaks_a_rule_is_accepted() -> None:
    """A negation that only the claim has weighs little where the claim is no copy."""
    text = (
        "By default, the keeper will automatically discover boats in your bay by scanning for masts that carry a flag."
    )
    claim = "Without instructions, keepers discover boats by looking in the harbour for flags that name the council."
    assert check_claim(claim, text) == "partial"


def test_cited_sentences_support_a_claim_together() -> None:
    """Neither sentence has all words of the claim."""
    cited = make_passage("The keeper checks lamps and doors in spring. The harbour council pays for oil and boats.")
    check_support = SupportChecker(make_question(), [cited])
    claim = "The keeper checks lamps and doors, and the harbour council pays for oil and boats."
    assert check_support(claim, [(cited, 1)]) != "supported"
    assert check_support(claim, [(cited, 1), (cited, 2)]) == "supported"


@pytest.mark.parametrize(
    ("question", "expected"),
    [("Does Bob report to Alice?", "contradicted"), ("Which lamp do keepers use?", "contradicted")],
)
def test_words_of_a_question_that_leaves_them_open_are_not_given(question: str, expected: SupportVerdict) -> None:
    """A question whether something is so is no evidence for it."""
    assert check_claim("Bob reports to Alice.", "Alice reports to Bob.", question) == expected


@pytest.mark.parametrize(
    ("claim", "text"),
    [
        ("Alle Mitarbeiter reisen nach Bonn.", "Viele Mitarbeiter reisen nach Bonn."),
        ("El gerente informa al director de la torre.", "El director informa al gerente de la torre."),
    ],
)
def test_english_rules_do_not_apply_to_other_languages(claim: str, text: str) -> None:
    """Their function words are not known, so only words, numbers and names are compared."""
    assert check_claim(claim, text) in ACCEPTED


def test_contradicted_sentence_is_withheld_under_strict_and_marked_under_flag() -> None:
    """It is treated as an unsupported one."""
    passage = make_passage("Leave lasts 26 weeks. It is paid.")
    reply = f"It is paid [[{passage.id}.2]]. Leave lasts 62 weeks [[{passage.id}.1]]."
    check_support = SupportChecker(make_question(), [passage])
    strict, flag = (CitationResolver([passage], check_support, policy) for policy in ("strict", "flag"))
    assert strict.feed(reply) + strict.finish() == "It is paid [1]."
    assert flag.feed(reply) + flag.finish() == "It is paid [1]. Leave lasts 62 weeks [2]."
    assert [sentence.support for sentence in flag.sentences] == ["supported", "contradicted"]
