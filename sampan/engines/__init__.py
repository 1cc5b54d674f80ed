"""Programs of their own that run a model and speak a public dialect over HTTP. Nobody else imports them."""
