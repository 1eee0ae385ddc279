"""``distdesc``, and ``python -m distdesc``."""

import sys


def main() -> None:
    """Entry point; Ctrl-C while the command line is still being imported is no error."""
    try:
        from distdesc.cli import main as command
    except KeyboardInterrupt:
        sys.exit(130)
    command()


if __name__ == "__main__":
    main()
