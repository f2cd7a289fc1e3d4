"""Who may: keys, sessions, and which sites' pages may ask where no key is needed."""
