"""The settings of Schemathesis for the service: which checks apply to which operation, and with which known names."""
