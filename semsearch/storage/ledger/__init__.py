"""The ledger: usage, budgets, answers and sessions of a data directory."""
