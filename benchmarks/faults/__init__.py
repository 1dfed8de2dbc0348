"""What goes wrong around the program, done to it on purpose: each module is runnable alone and prints a table."""
