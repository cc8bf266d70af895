"""The project as somebody meets it: the Makefile, the image, the wheel, the rooms, the main job."""
