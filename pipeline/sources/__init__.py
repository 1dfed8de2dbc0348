"""Where images come from. Every kind of source yields the same :class:`Item`, and all end in the same store."""
