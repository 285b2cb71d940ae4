"""Weight files from the network: fetched once, gone on with after a break, held to a sha256."""
