"""Review: chooses pictures for people, hands them out, takes their boxes back and makes ground truth of them."""
