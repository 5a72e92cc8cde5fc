"""What is a question, and what is none: answers parsed, rules, ways to ask."""
