"""Pictures of any size in bounded memory: tiles, bands, and files written as they are drawn."""
