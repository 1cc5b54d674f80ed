"""The reader's exam: documents drawn from a seed, questions about them, and a grader that knows what was drawn."""
