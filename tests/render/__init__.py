"""Each template with a matrix of inputs, read by the program that it is for."""
