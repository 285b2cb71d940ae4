"""The text towers of CLIPs, read again from where a model came from when a text is asked for."""
