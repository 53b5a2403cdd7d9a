"""The commands behind the `scaling` front door, one module a command.

Each reads its options, calls the rooms, writes files and prints; none holds science of its own.
"""
