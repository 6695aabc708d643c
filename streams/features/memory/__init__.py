"""How feature counts are read out, moved together, and kept small while nothing changes them."""
