"""Making an exported set: what is in it, which proposals are kept, and whether it is still what was written."""
