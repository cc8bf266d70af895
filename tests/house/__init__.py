"""The project as somebody meets it: the Makefile, the documents, the image, the main job."""
