"""Listening: players, widgets, and pages on which one hears what networks learned."""
