"""What turns the GAN's loop into a run: its plan, its budget, its state on disk, its health and what it ships."""
