"""Studies: many networks trained on equal terms, scored, and written up from their records."""
