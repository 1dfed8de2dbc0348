"""Two results side by side: what differs in their choices, and what came of it."""
