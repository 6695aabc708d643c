"""The documentation as data: pages, their blocks and links, and the tables made from the code."""
