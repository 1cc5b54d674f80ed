"""Who may ask what: an *actor* is who asks, known by a *credential* (an API key)."""
