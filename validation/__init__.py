"""Checks of what tagkit measures by code that shares nothing with it; `python -m validation` writes docs/validation.md.

A topic is a module with a `run(quick)` that returns findings (`validation.findings`); `validation.topics` lists them.
The independent number comes from another library, from brute force, or from a simulation whose truth is known.
"""
