"""Conditional GANs in plain PyTorch. Needs torch alone; knows nothing of files' layout, DVC, Prefect or click."""
