"""Scores of networks on held-out clips, and what a trained network says of any music."""
