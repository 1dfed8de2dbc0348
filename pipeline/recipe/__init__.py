"""`augmint recipe`: the recommended training as a PyTorch script of its own."""
