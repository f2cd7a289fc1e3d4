"""What has happened: events of tracks and places, with their pictures, kept for some days (docs/history.md)."""
