"""Numbers to figures and the report."""
