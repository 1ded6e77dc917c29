"""Who may do what, and how much: access keys and the callers that they identify."""
