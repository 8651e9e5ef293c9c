"""Simulated files read back, and every number in them beside what is expected of it.

Files come in, numbers go out: nothing is simulated and nothing drawn here.
"""
