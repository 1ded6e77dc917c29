"""Drive the page in a real browser against a real server, for the tests, the proofs and the screenshots."""
