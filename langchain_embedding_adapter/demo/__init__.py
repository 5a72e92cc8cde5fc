"""The demo: the whole journey on Python's language reference, without a key, a network or a GPU."""
