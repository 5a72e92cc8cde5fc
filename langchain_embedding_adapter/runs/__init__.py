"""A run: the journey as a folder of stage files, from settings on the command line or in a file."""
