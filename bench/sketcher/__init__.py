"""The sketcher's exam: prompts with expectations that pixels can decide, and a judge that looks at nothing else."""
