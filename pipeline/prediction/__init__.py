"""`augmint predict`: the recommended classifier, asked about any images."""
