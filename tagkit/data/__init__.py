"""Datasets as catalogs, catalogs as records, and windows of records: what a network learns from and is tested on."""
