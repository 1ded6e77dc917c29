"""Messages to the webhooks of a user: signed, retried and delivered at least once (standardwebhooks.com)."""
