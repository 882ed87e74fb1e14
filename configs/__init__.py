"""What an operator can set: the schema of the configuration files, the environment, the profiles."""
