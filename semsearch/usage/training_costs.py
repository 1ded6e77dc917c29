"""Estimate what a fine-tuning job costs: its epochs, the tokens that it trains on, and their price."""

from ..core.types.usage import CostEstimate, Price, TokenEstimate

_NANOUSD_PER_MICROUSD = 1_000
_TARGET_EPOCHS, _MIN_TRAINED_EXAMPLES, _MAX_TRAINED_EXAMPLES, _MAX_EPOCHS = 3, 100, 25_000, 25


def choose_epochs(examples: int) -> int:
    """Return a number of epochs: 3, more for few examples and fewer for many.

    The rule with which OpenAI's cookbook estimates costs (Chat_finetuning_data_prep.ipynb).
    """
    if examples * _TARGET_EPOCHS < _MIN_TRAINED_EXAMPLES:
        return min(_MAX_EPOCHS, _MIN_TRAINED_EXAMPLES // max(1, examples))
    if examples * _TARGET_EPOCHS > _MAX_TRAINED_EXAMPLES:
        return max(1, _MAX_TRAINED_EXAMPLES // examples)
    return _TARGET_EPOCHS


def estimate_training(file_tokens: TokenEstimate, epochs: int, price: Price | None) -> CostEstimate:
    """Return the tokens of all epochs and their cost; the cost is None if the price of training is unknown."""
    tokens = TokenEstimate(file_tokens.expected * epochs, file_tokens.upper_bound * epochs)
    expected_cost = compute_training_cost(price, tokens.expected)
    return CostEstimate(tokens, expected_cost, compute_training_cost(price, tokens.upper_bound))


def compute_training_cost(price: Price | None, trained_tokens: int) -> int | None:
    """Return the cost in billionths of a dollar; None if the price of training is unknown."""
    if price is None or price.training is None:
        return None
    return round(trained_tokens * price.training * _NANOUSD_PER_MICROUSD)
