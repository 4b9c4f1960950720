"""What takes a trained network elsewhere: packages, a web page, clusters, clouds, object storage."""
