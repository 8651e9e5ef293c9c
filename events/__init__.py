"""Files of events: the one door through which ROOT files are opened for reading."""
