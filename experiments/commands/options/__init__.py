"""What each command of `scaling` is asked: one frozen dataclass a command, handed to it whole.

The text under a field is its help on the command line. Nothing heavy is imported here, so that help
comes at once.
"""
