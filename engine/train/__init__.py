"""The training loop, its checkpoints, and the judgement of its course."""
