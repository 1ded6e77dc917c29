"""Raw HTTP for the fuzzer: requests as bytes, valid and not, and a strict reader of responses."""
