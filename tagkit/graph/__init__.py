"""The networks, in pure Keras 3: every architecture is a row of `zoo.ROWS`, built by one function."""
