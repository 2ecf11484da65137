"""A model behind an HTTP server, asked over the OpenAI-compatible API or the server's own."""
