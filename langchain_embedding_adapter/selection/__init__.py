"""What is left out, what is tried, how it does, what is taken."""
