"""Reading a store back: arrays, numbers, tables."""
