"""What is read from files is checked here first, a reader for each kind: JSON, arrays, weights.

A file that a stage wrote may be cut, edited, or of another version by the time it is read. A reader says so in a
sentence before anything is computed from it, or any memory is given to what it merely claims.
"""
