"""What stands behind the command line: a module or a package for each command."""
