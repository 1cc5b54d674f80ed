"""HTTP in: paths, limits of bodies, answers and streams out, callers that leave."""
