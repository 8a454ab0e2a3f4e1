"""What networks compose to, and their folders on disk."""
