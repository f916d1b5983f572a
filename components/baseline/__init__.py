"""What any model has to beat: a detector of 2005 and a detector that does not look."""
