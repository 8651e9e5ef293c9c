"""Shows what advtag does where files are broken, names are hostile, disks are full and processes are killed.

Every part makes its own inputs, counts on its own what is right, and prints a table of what happened.
"""
