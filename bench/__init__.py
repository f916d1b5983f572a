"""Speed as ratios, each measured against its yardstick in the same run: `make bench` or `python -m bench [NAME…]`."""
