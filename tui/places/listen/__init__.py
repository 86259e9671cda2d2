"""A blind listening session."""
