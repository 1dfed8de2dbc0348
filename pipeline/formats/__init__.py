"""Writers of exported sets: names, files and the manifest beside them."""
