"""Files that lie elsewhere: addresses that fsspec knows, fetched whole, pushed whole, and asked with patience."""
