"""Is the candidate better than the champion? Paired bootstrap on the sealed test part, and gates that each say why."""
