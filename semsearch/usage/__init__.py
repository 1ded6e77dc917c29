"""Usage of models: metering, budgets, prices, token estimates, report."""
