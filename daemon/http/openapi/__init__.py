"""The OpenAPI of what the server answers, made from its routes: each says what it takes and what it answers."""
