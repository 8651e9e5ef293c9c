"""Which events and which jets: the three selections and their parameter table."""
