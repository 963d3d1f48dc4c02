"""Runs a study from the command line: notebooks with papermill, the report with Sphinx, and the record of the run."""
