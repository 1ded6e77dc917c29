"""Usage of model servers: metering, budgets, prices, token estimates, report."""
