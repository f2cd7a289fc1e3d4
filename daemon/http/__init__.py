"""The HTTP services, and the only user of aiohttp."""
