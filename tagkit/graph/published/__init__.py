"""Networks that others have trained and published: their architectures, their weights, and what is known of them."""
