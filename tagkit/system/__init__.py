"""Files, paths, processes and imports: what all of tagkit stands on."""
