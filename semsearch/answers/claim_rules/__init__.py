"""Rules that compare what a claim and its evidence say beyond their words; English only."""
