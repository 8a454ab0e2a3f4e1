"""What a stage is: its frame, its inputs, its paused states, signals, and the curves of its training."""
