"""``python -m augmint``: the command line, where a program wants a module in the place of a command."""

from pipeline.cli import main

if __name__ == "__main__":
    main(prog_name="augmint")
