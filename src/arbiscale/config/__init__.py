"""The typed configuration: one module a section, so that a stage depends on its own section only."""
