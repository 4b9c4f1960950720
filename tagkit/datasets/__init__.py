"""Catalogs: demo, MagnaTagATune, FMA, Million Song, Last.fm tags and your own folder, each read into one table."""
