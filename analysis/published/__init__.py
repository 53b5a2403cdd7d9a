"""Published laws as objects: constants, conventions, range, source, and what later work found.

An entry is one TOML file: those of the project lie in `entries/`, and a user's own has the same
form. `law_file` reads one, `library` finds it by name, `entry` says what it holds, `forms` names
the equations that it may use, `optimum` finds the best model for a budget, and `conversions` turns
units of loss and ways to count into each other.
"""
