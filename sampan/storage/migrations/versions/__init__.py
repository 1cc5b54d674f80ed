"""One file for each schema; `schema_N` says how it is reached from the one before it, and how it is left."""
