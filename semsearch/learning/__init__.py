"""Learning from use: content gaps, support reports, judged questions and fine-tuning data."""
