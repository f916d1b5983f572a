"""Drift: tells whether production pictures still look like those the champion was made for."""
