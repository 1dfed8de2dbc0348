"""A project of a user's own: what the images are, the choices that fit them, and the files that hold these.

``recognising`` finds out which source reads the images, ``looking`` what they are, ``measuring`` how fast this machine
is, ``choosing`` what follows, each choice with its reason; ``rendering`` writes that as texts, ``writing`` puts them
into a folder without overwriting anything, and ``starting`` is all of it: ``augmint init``.
"""
