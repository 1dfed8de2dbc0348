"""Making an exported set: what is in it, which candidates are kept, and whether it is still what was written."""
