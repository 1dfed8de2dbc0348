"""The parts of the ingest stage: decoding, duplicates, splits and the manifest."""
