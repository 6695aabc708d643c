"""What an event is: the Avro contracts, the columns of a decoded batch, and what stages hand to each other."""
