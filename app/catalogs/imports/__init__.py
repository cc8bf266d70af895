"""Files of movies and responses, read, checked and stored as a whole."""
