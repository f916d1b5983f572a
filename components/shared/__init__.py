"""What more than one component needs; imports no component, no kfp, no torch."""
