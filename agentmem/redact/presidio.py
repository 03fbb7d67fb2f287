"""presidio-analyzer as an analyser: what its recognisers know by pattern, found without a model and off the network.

The one place that imports it. Names, places and organisations need a model, which is the user's: give an engine that
has one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from agentmem.errors import MissingExtraError
from agentmem.redact.policy import Analyser

KINDS = {"email_address": "email", "credit_card": "card", "iban_code": "iban", "us_ssn": "ssn", "phone_number": "phone"}
"""Their name of an entity -> ours; others are kinds by their own name in lower case: person, location, us_passport."""


def presidio(
    engine: Any = None, entities: Sequence[str] | None = None, language: str = "en", least: float = 0.35
) -> Analyser:
    """For `memory.redaction({"us_passport": "mask"}, analyser=presidio())`.

    engine: an AnalyzerEngine; without one, one of the recognisers that need no model. entities: those to look for, all
    by default. least: the score from which on something counts. Raises MissingExtraError.
    """
    engine = engine if engine is not None else _engine(language)

    def analyse(text: str) -> list[tuple[int, int, str]]:
        found = engine.analyze(text, language=language, entities=entities, score_threshold=least)
        names = [(one, one.entity_type.lower()) for one in found]
        return [(one.start, one.end, KINDS.get(name, name)) for one, name in names]

    return analyse


def _engine(language: str) -> Any:
    """An engine over a pipeline that splits words and knows nothing else."""
    try:
        import spacy
        import tldextract.tldextract as domains
        from presidio_analyzer import AnalyzerEngine
        from presidio_analyzer.nlp_engine import SpacyNlpEngine
    except ModuleNotFoundError as error:
        raise MissingExtraError("presidio needs an extra: pip install 'agentmem-crystal[presidio]'") from error
    domains.TLD_EXTRACTOR.suffix_list_urls = ()  # the list that comes with it; else it asks the network for a newer one

    blank: Any = SpacyNlpEngine()
    blank.nlp = {language: spacy.blank(language)}
    return AnalyzerEngine(nlp_engine=blank, supported_languages=[language])
