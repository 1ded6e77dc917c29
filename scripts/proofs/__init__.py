"""Long-running proofs of reliability. The tests run each for a short time, `scripts/prove` for as long as you like."""
