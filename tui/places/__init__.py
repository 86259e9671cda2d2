"""A folder a place: its screen, the parts of it and their stylesheet; beside them what all places share."""
