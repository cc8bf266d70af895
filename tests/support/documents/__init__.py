"""The checkout, its documents and its image, as tests read and run them."""
