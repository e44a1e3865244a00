"""What the end-to-end tests stand on: the programs as processes, and the other side of each of their protocols."""
