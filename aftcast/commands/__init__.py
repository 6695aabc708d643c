"""What each command does, one file a command; heavy imports wait until the command runs."""
