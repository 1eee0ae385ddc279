"""``python -m distdesc``."""

from distdesc.cli import main

if __name__ == "__main__":
    main()
