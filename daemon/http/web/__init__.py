"""The page: its files, as browsers get them, and what it asks for beside the API that all have."""
