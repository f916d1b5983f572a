"""The demonstration's story after the first training: dusk and night fall, and the loop closes by itself."""
