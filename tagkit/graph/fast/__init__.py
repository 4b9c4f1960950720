"""Faster ways to compute the same numbers, each with a switch and a test that on and off agree."""
