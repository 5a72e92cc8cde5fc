"""Another model for the questions: the way from its space into the index's."""
