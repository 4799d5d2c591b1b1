"""Where machines come in: well-known documents, OAuth, health. Turns refusals into HTTP, once."""
