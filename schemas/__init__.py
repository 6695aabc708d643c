"""What an event is: the contracts, the columns of a decoded batch, and what stages hand each other."""
