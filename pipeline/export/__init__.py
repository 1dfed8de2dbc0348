"""Making an exported set: what is in it, which draws are kept, and whether it is still what was written."""
