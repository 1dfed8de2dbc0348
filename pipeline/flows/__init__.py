"""Prefect: when and where the pipeline runs. DVC stays the owner of what is current; the flows run its stages."""
