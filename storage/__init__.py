"""How files are written and read: whole or not at all; tables as CSV."""
