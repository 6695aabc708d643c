"""Which feature of a model version is counted under which slot."""
