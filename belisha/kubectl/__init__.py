"""`kubectl belisha`: look at and change what a cluster serves."""
