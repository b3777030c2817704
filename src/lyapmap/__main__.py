"""`python -m lyapmap`, the same as the `lyapmap` command."""

from lyapmap.cli import main

if __name__ == "__main__":
    main()
