"""What drawing and training cost on this machine, against the published code's way of doing it."""
