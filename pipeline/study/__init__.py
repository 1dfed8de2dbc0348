"""The study: the experiment again in each fold of repeated cross-validation, so that every image is a test image."""
