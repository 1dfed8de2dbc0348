"""What is knowable before anything is trained: one finding a fault, with its place and its remedy."""
